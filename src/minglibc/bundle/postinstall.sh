#!/bin/sh
# Made by minglibc: create the environment of this package and switch to it.
set -eu

root=/opt/@NAME@
release=@RELEASE@

# The marker is missing where an earlier attempt was killed.
if [ ! -e "$root/releases/$release/.complete" ]; then
    rm -rf "$root/releases/$release"
    mkdir -p "$root/releases"
    sh "$root/bundles/$release/install.sh" "$root/releases/$release"
    : >"$root/releases/$release/.complete"
fi
rm -rf "$root/current.new"
ln -s "releases/$release" "$root/current.new"
mv -T "$root/current.new" "$root/current"
for other in "$root"/releases/*; do
    [ "$other" = "$root/releases/$release" ] || rm -rf "$other"
done
