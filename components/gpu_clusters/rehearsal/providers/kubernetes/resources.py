"""What the simulated Kubernetes provider does with resources once it knows its cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NoReturn, cast

from gpu_clusters.errors import OperationError
from gpu_clusters.kube.client import ApiError, CancelledError, UnreachableError
from gpu_clusters.kube.objects import text
from gpu_clusters.rehearsal.providers.interface import (
    Checked,
    Difference,
    Options,
    Resource,
    ResourceNotReadyError,
    State,
)
from gpu_clusters.rehearsal.providers.kubernetes.applying import (
    Application,
    Applier,
    already_exists,
    is_missing_namespace,
    is_terminating_namespace,
    manages,
    with_live_values,
)
from gpu_clusters.rehearsal.providers.kubernetes.checking import Checker
from gpu_clusters.rehearsal.providers.kubernetes.client import Client, UnknownKindError
from gpu_clusters.rehearsal.providers.kubernetes.objects import (
    DELETION_PROPAGATION,
    PATCH_FIELD_MANAGER,
    Kind,
    annotation,
    from_server,
    id_of,
    kind_of,
    name_of,
    namespace_of,
    short_hash,
    to_server,
    with_metadata,
    without_server_fields,
)
from gpu_clusters.rehearsal.providers.kubernetes.refreshed import refreshed_inputs
from gpu_clusters.rehearsal.providers.kubernetes.shown import (
    FIELD_MANAGER,
    difference,
    hidden,
    invoke,
    recorded_outputs,
    without_managed_fields,
)
from gpu_clusters.rehearsal.providers.kubernetes.waiting import NotReadyError, time_limit, until_gone, until_ready
from gpu_clusters.rehearsal.providers.values import (
    Properties,
    has_unknown,
    reveal_all,
)

_POLICIES: Final = {"orphan": "Orphan", "background": "Background"}
# A preview is about a server that may not be up; it shouldn't wait for it.
_PREVIEW_PATIENCE: Final = 2
_SERVER_CHOSEN: Final = ("creationTimestamp", "generation", "resourceVersion", "uid")


@dataclass(frozen=True)
class Settings:
    """What a Provider's inputs say beside the cluster.

    Attributes:
        force: take fields over from other managers everywhere (`enablePatchForce`).
        upsert: create may take over an object that exists (`upsertExistingObjects`).
        delete_unreachable: a delete succeeds if the cluster doesn't answer (`deleteUnreachable`).
    """

    force: bool = False
    upsert: bool = False
    delete_unreachable: bool = False


class KubernetesResources:
    """The resources of one cluster; implements `ConfiguredProvider`."""

    def __init__(self, client: Client, namespace: str, settings: Settings) -> None:
        self._client = client
        self._namespace = namespace
        self._settings = settings
        self._checker = Checker(client, namespace)
        self._applier = Applier(client)

    def cancel(self) -> None:
        self._client.cancel()

    def check(self, resource: Resource, old: Properties | None, new: Properties) -> Checked:
        return self._checker.check(resource, old, new)

    def diff(self, resource: Resource, state: State, new: Properties) -> Difference:
        return difference(kind_of(resource.type, reveal_all(new)), state, new, self._namespace)

    def create(self, resource: Resource, inputs: Properties, options: Options) -> State:
        application = self._application(resource, inputs, "", options)
        if options.preview:
            return State("", self._previewed(application, inputs, is_new=True))
        self._refuse_foreign(application)
        return self._applied(application, inputs)

    def update(self, resource: Resource, state: State, new: Properties, options: Options) -> State:
        application = self._application(resource, new, text(state.outputs, FIELD_MANAGER), options)
        if options.ignore_changes and not has_unknown(new):
            live = self._applier.existing(application.kind, application.manifest)
            application = self._application(
                resource,
                with_live_values(new, live or {}, options.ignore_changes),
                application.manager,
                options,
            )
        if options.preview:
            return State(state.id, self._previewed(application, new, is_new=False))
        return self._applied(application, new)

    def read(self, resource: Resource, state: State) -> State:
        kind = kind_of(resource.type, reveal_all(state.inputs))
        namespace, _, name = state.id.rpartition("/")
        here: Properties = {"metadata": {"namespace": namespace or self._namespace, "name": name}}
        live = self._live(kind, here)
        if live is None:
            return State("", {})
        manager = text(state.outputs, FIELD_MANAGER) or _manager(resource, {})
        shown = cast(Properties, from_server(without_managed_fields(live)))
        old = state.inputs
        inputs = refreshed_inputs(old, state.outputs, shown) if old else without_server_fields(shown)
        if kind.name == "Secret" and not kind.group:
            inputs = {**inputs, **{key: hidden(inputs[key]) for key in ("data", "stringData") if key in inputs}}
        return State(state.id, recorded_outputs(live, inputs, manager), inputs)

    def delete(self, resource: Resource, state: State, options: Options) -> None:
        try:
            self._delete(resource, state, options)
        except UnreachableError:
            if not self._settings.delete_unreachable:
                raise

    def invoke(self, token: str, arguments: Properties) -> Properties:
        return invoke(token, arguments)

    def _application(self, resource: Resource, inputs: Properties, manager: str, options: Options) -> Application:
        revealed = reveal_all(inputs)
        kind = kind_of(resource.type, revealed)
        return Application(
            kind=kind,
            manifest=cast(Properties, to_server(inputs)),
            manager=manager or _manager(resource, revealed),
            force=self._settings.force or kind.patch,
            preview=options.preview,
            seconds=time_limit(revealed, options.timeout),
        )

    def _refuse_foreign(self, application: Application) -> None:
        """Creating over an object that exists is right only for one that an earlier, interrupted try has made."""
        found = self._applier.existing(application.kind, application.manifest)
        if found is None:
            if application.kind.patch:
                raise OperationError(
                    f"there is no {application.kind.name} {id_of(application.manifest)} whose fields could be set",
                    "create it first (`depends_on`), or correct its name and namespace",
                )
            return
        is_ours = manages(found, application.manager) or text(found, "metadata", "deletionTimestamp")
        if not (is_ours or application.kind.patch or self._settings.upsert):
            raise already_exists(application.kind, found)

    def _applied(self, application: Application, inputs: Properties) -> State:
        live = self._applier.apply(application)
        path = self._applier.path(application.kind, live)
        try:
            if not application.kind.patch:
                live = until_ready(self._client, application.kind, path, live, application.seconds)
        except NotReadyError as error:
            self._record(error.live, inputs, application, error)
        except (CancelledError, UnreachableError) as error:
            self._record(live, inputs, application, error)
        return State(id_of(live), recorded_outputs(live, inputs, application.manager))

    def _record(
        self, live: Properties, inputs: Properties, application: Application, error: OperationError
    ) -> NoReturn:
        state = State(id_of(live), recorded_outputs(live, inputs, application.manager), inputs)
        raise ResourceNotReadyError(state, error.problem, error.remedy, error.details) from error

    def _previewed(self, application: Application, inputs: Properties, *, is_new: bool) -> Properties:
        """A dry run by the server itself, so that what it would refuse is known before; the inputs where it can't."""
        if has_unknown(inputs) or (application.kind.patch and is_new):
            return inputs
        try:
            self._client.endpoint(application.kind, patience=_PREVIEW_PATIENCE)
            live = self._dry_run(application, is_new=is_new)
        except (UnreachableError, UnknownKindError):
            return inputs
        except ApiError as error:
            # A namespace that isn't there yet may be made by the same program; some webhooks refuse all dry runs.
            no_dry_run = error.code == 400 and "dry run" in error.api_message
            if is_missing_namespace(error) or is_terminating_namespace(error) or no_dry_run:
                return inputs
            raise
        outputs = recorded_outputs(live, inputs, application.manager)
        fresh = dict.fromkeys(_SERVER_CHOSEN) if is_new else {}
        shown = with_metadata(outputs, **fresh)
        return {key: item for key, item in shown.items() if key != "status"}

    def _dry_run(self, application: Application, *, is_new: bool) -> Properties:
        try:
            return self._applier.apply(application)
        except ApiError as error:
            if not (is_new and error.reason == "Invalid" and "immutable" in error.api_message):
                raise
        # A replacement under the same name: its predecessor is still there, so the dry run takes another name.
        name = name_of(application.manifest)
        other = with_metadata(application.manifest, name=f"{name[:50]}-{short_hash(name)}")
        live = self._applier.apply(
            Application(application.kind, other, application.manager, True, True, application.seconds)
        )
        return with_metadata(live, name=name)

    def _live(self, kind: Kind, here: Properties) -> Properties | None:
        try:
            return self._client.get(self._client.endpoint(kind).path(namespace_of(here), name_of(here)))
        except UnknownKindError:
            if not self._applier.is_defined(kind):
                return None
            return self._client.get(self._applier.path(kind, here))

    def _delete(self, resource: Resource, state: State, options: Options) -> None:
        recorded = reveal_all(state.outputs)
        kind = kind_of(resource.type, recorded)
        live = self._live(kind, recorded)
        uid = text(recorded, "metadata", "uid")
        if live is None or (uid and text(live, "metadata", "uid") != uid):
            return
        seconds = time_limit(recorded, options.timeout)
        if kind.patch:
            self._relinquish(kind, recorded, live, seconds)
            return
        path = self._applier.path(kind, live)
        policy = _POLICIES.get(annotation(recorded, DELETION_PROPAGATION).lower(), "Foreground")
        live_uid = text(live, "metadata", "uid")
        body: Properties = {"propagationPolicy": policy, "preconditions": {"uid": live_uid}}
        try:
            self._client.request("DELETE", path, body=body)
        except ApiError as error:
            if error.code == 404:
                return
            if error.code != 409:
                raise
            # Somebody else has made it anew since, which isn't ours to delete.
            again = self._client.get(path)
            if again is not None and text(again, "metadata", "uid") == live_uid:
                raise
        until_gone(self._client, path, live_uid, seconds)

    def _relinquish(self, kind: Kind, recorded: Properties, live: Properties, seconds: float) -> None:
        """Give up the fields that a Patch resource has set: those that nobody else owns go."""
        metadata: Properties = {"name": name_of(live)}
        if namespace_of(live):
            metadata["namespace"] = namespace_of(live)
        nothing: Properties = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}
        self._applier.apply(Application(kind, nothing, text(recorded, FIELD_MANAGER), True, False, seconds))


def _manager(resource: Resource, revealed: Properties) -> str:
    """A field manager for each resource, so that the API server finds two resources that set the same fields."""
    return annotation(revealed, PATCH_FIELD_MANAGER) or f"pulumi-kubernetes-{short_hash(resource.urn)}"
