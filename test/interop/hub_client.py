"""What huggingface_hub sees of a server that is a Hub to it (HF_ENDPOINT), as JSON on stdout.

Arguments: pairs of a model and a revision to download.
"""
import hashlib
import json
import os
import sys

from huggingface_hub import HfApi, __version__, hf_hub_download, snapshot_download
from huggingface_hub.utils import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError


def digests(folder):
    """SHA-256 of every file below a folder, by its path."""
    found = {}
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = hashlib.sha256(file.read()).hexdigest()
    return found


def error_of(call):
    """Name of the class of what a call raises."""
    try:
        call()
    except (EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        return type(error).__mro__[0].__name__
    return None


api = HfApi()
first = sys.argv[1]
downloads = []
for model, revision in zip(sys.argv[1::2], sys.argv[2::2]):
    folder = snapshot_download(model, revision=revision)
    info = api.model_info(model, revision=revision, files_metadata=True)
    downloads.append(
        {
            "model": model,
            "revision": revision,
            "commit": os.path.basename(folder),
            "sha": info.sha,
            "files": digests(folder),
            "large": {file.rfilename: file.lfs.sha256 for file in info.siblings if file.lfs},
            "sizes": {file.rfilename: file.size for file in info.siblings},
            "tree": sorted(entry.path for entry in api.list_repo_tree(model, revision=revision, recursive=True)),
        }
    )
refs = api.list_repo_refs(first)
json.dump(
    {
        "version": __version__,
        "downloads": downloads,
        "models": sorted(model.id for model in api.list_models()),
        "branches": [ref.name for ref in refs.branches],
        "tags": sorted(ref.name for ref in refs.tags),
        "commits": [commit.commit_id for commit in api.list_repo_commits(first)],
        "paths": [entry.path for entry in api.get_paths_info(first, ["config.json", "none"])],
        "errors": [
            error_of(lambda: hf_hub_download(first, "adapter_config.json")),
            error_of(lambda: hf_hub_download(first, "config.json", revision="v9.9")),
            error_of(lambda: hf_hub_download("user/none", "config.json")),
        ],
    },
    sys.stdout,
)
