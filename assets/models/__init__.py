from assets.models.known_settings import KnownSettings, SettingKey, SettingValue
from assets.models.ledger import CleanUp, Disposition, Extension
from assets.models.operations import Operation, OperationItem, Verb
from assets.models.reviews import Review, Verdict
from assets.models.rollups import Refresh, Rollup
from assets.models.saved_views import SavedView
from assets.models.upstream import Job, LibraryAsset, Profile, WorkspaceAsset

__all__ = [
    "CleanUp",
    "Disposition",
    "Extension",
    "Job",
    "KnownSettings",
    "LibraryAsset",
    "Operation",
    "OperationItem",
    "Profile",
    "Refresh",
    "Review",
    "Rollup",
    "SavedView",
    "SettingKey",
    "SettingValue",
    "Verb",
    "Verdict",
    "WorkspaceAsset",
]
