#!/bin/sh
# Checks in CI that a project's lock is up to date and that its wheels are within the cap, and creates bundles:
#
#   ci.sh PROJECT [FOLDER TARGET...]
#
# FOLDER gets TARGET.tar.gz for each target. Exits with 3 if the index is unavailable: only then does a retry help.
set -eu
project=$1
minglibc lock --check --project "$project"
minglibc check --project "$project"
[ $# -gt 2 ] || exit 0
folder=$2
shift 2
mkdir -p "$folder"
for target; do
    minglibc bundle --project "$project" --target "$target" --output "$folder/$target.tar.gz"
done
