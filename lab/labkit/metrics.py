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

"""What a Prometheus needs that looks at all hosts."""

from labkit import plan as plans


def address(plan: plans.Plan, host: str) -> str:
    """Return where nova-compute of a host tells its metrics."""
    return f'{plan.address(host)}:9979'


def write(plan: plans.Plan) -> None:
    """Write the configuration of a Prometheus."""
    targets = [address(plan, host) for host in plan.compute_hosts]
    plans.write_private(
        plan.run / 'etc/prometheus.yml',
        'global: {scrape_interval: 5s}\n'
        'scrape_configs:\n'
        '- job_name: nova-throttle\n'
        f'  static_configs: [{{targets: {targets}}}]\n',
    )
