"""`python -m ops list`: the services of an environment."""

import argparse

from ops.cloud import command_line
from ops.cloud.api import Cloud
from ops.cloud.command_line import say
from ops.cloud.exits import DONE
from ops.cloud.safe_text import one_line


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    command_line.add_parser(commands, "list", "the services of a CloudBase environment")


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each service."""
    return command_line.run_with_cloud(arguments, _list)


def _list(arguments: argparse.Namespace, cloud: Cloud) -> int:
    services = cloud.services()
    if not services:
        say(f"The environment {cloud.env_id} has no services.")
    for service in services:
        access = ",".join(service.access_types) or "no access from outside"
        say(
            one_line(
                f"{service.server_name:30} {service.status:12} {service.server_type or 'container':10} "
                f"{access:22} {service.update_time:20} {' '.join(service.domains)}"
            )
        )
    return DONE
