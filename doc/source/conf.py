# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

project = 'nova-throttle'
copyright = 'nova-throttle developers'

extensions = [
    'openstackdocstheme',
    'oslo_config.sphinxconfiggen',
    'oslo_config.sphinxext',
    'reno.sphinxext',
]

config_generator_config_file = [
    (
        '../../etc/nova-throttle-config-generator.conf',
        '_static/nova-throttle',
    ),
]

man_pages = [
    (f'cli/{name}', name, what, '', 1)
    for name, what in (
        ('nova-throttle', 'see and change what a host migrates'),
        ('nova-throttle-status', 'tell what would go wrong on a host'),
        ('nova-throttle-demo', 'watch a drain in an embedded Nova'),
    )
]

html_theme = 'openstackdocs'
pygments_style = 'native'

# There is no page of ours on the sites that the theme links to.
openstackdocs_auto_name = False
openstackdocs_auto_version = False
