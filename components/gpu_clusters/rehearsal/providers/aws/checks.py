"""Everything that can be said against a resource before it is made, all of it at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from gpu_clusters.rehearsal.providers.aws import (
    launch_templates,
    policies,
    references,
    rules_eks,
    rules_network,
    rules_node_groups,
)
from gpu_clusters.rehearsal.providers.aws.made import Made
from gpu_clusters.rehearsal.providers.aws.names import operation
from gpu_clusters.rehearsal.providers.aws.requests import request_failures
from gpu_clusters.rehearsal.providers.interface import CheckFailure
from gpu_clusters.rehearsal.providers.values import Properties, reveal_all

_Rule = Callable[[str, Properties, Made], Iterable[CheckFailure]]

#: What AWS refuses beside what its models say. Each looks at the types that it knows.
_RULES: Final[tuple[_Rule, ...]] = (
    references.failures,
    policies.failures,
    rules_network.failures,
    launch_templates.failures,
    rules_eks.failures,
    rules_node_groups.failures,
)


def failures(kind: str, inputs: Properties, made: Made) -> list[CheckFailure]:
    """What is wrong with the inputs of a resource of a type, such as `aws:ec2/subnet:Subnet`.

    Values that aren't known yet are let through: they are checked when they are. So is a type that isn't known.
    """
    found = operation(kind)
    if found is None:
        return []
    plain = reveal_all(inputs)
    by_models = list(request_failures(kind, found, plain))
    refused = {failure.property for failure in by_models}
    # What the models refuse already needs no second word.
    by_rules = [one for rule in _RULES for one in rule(kind, plain, made) if one.property not in refused]
    return list(dict.fromkeys([*by_models, *by_rules]))
