# SPDX-License-Identifier: Apache-2.0

"""What the Debian package says of itself is what the wheel says."""

import email
import importlib.util
import pathlib

import testtools

TOOL = pathlib.Path(__file__).parents[3] / 'tools' / 'build_deb.py'


def _load():
    spec = importlib.util.spec_from_file_location('build_deb', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _facts(**lines):
    text = '\n'.join(
        f'{name.replace("_", "-")}: {line}'
        for name, values in lines.items()
        for line in values.split(', ')
    )
    return email.message_from_string(text)


class BuildDebTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.tool = _load()

    def test_a_development_version_is_older_than_the_release(self):
        for version, expected in (
            ('1.0.0', '1.0.0'),
            ('1.0.0.dev7', '1.0.0~dev7'),
            ('1.0.0rc1', '1.0.0~rc1'),
        ):
            self.assertEqual(
                expected, self.tool._version(_facts(Version=version))
            )

    def test_it_depends_on_what_is_required_and_on_no_extra(self):
        facts = _facts(
            Requires_Python='>=3.10',
            Requires_Dist='cliff>=4.0.0, oslo.config>=9.0.0, '
            'libvirt-python>=8.4.0; extra == "libvirt", '
            'prometheus_client>=0.14.1; extra == "metrics", '
            'nova-throttle[metrics]; extra == "test"',
        )
        self.assertEqual(
            ['python3-prometheus-client (>= 0.14.1)'],
            list(self.tool._packages(facts, 'drain', 'metrics')),
        )
        self.assertEqual(
            [
                'python3 (>= 3.10)',
                'python3-nova',
                'python3-cliff (>= 4.0.0)',
                'python3-oslo.config (>= 9.0.0)',
            ],
            list(self.tool._depends(facts)),
        )
