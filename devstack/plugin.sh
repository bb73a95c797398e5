#!/bin/bash
# DevStack calls this with "stack PHASE", "unstack" or "clean". The last two
# have nothing to do: DevStack removes Nova's configuration itself.

# DevStack sets these variables.
# shellcheck disable=SC2154

function install_nova_throttle {
    setup_develop "$NOVA_THROTTLE_DIR"
}

function configure_nova_throttle {
    # DevStack copies this file for nova-compute, when it starts it.
    iniset "$NOVA_CONF" DEFAULT max_concurrent_live_migrations \
        "$NOVA_THROTTLE_LIMIT"
    iniset "$NOVA_CONF" nova_throttle enabled True
    iniset "$NOVA_CONF" nova_throttle max_incoming_live_migrations \
        "$NOVA_THROTTLE_INCOMING_LIMIT"
}

function configure_nova_throttle_tempest {
    iniset "$TEMPEST_CONFIG" nova_throttle source_limit \
        "$NOVA_THROTTLE_LIMIT"
    iniset "$TEMPEST_CONFIG" nova_throttle destination_limit \
        "$NOVA_THROTTLE_INCOMING_LIMIT"
}

if [[ "$1 $2" == "stack install" ]]; then
    # tempest needs it too, for the plugin.
    if is_service_enabled n-cpu tempest; then
        echo_summary "Installing nova-throttle"
        install_nova_throttle
    fi
elif [[ "$1 $2" == "stack post-config" ]]; then
    if is_service_enabled n-cpu; then
        echo_summary "Configuring nova-throttle"
        configure_nova_throttle
    fi
elif [[ "$1 $2" == "stack test-config" ]]; then
    if is_service_enabled tempest; then
        configure_nova_throttle_tempest
    fi
fi
