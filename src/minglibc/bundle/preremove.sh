#!/bin/sh
# Made by minglibc: remove the environment of this package, unless it is upgraded.
set -eu

# dpkg passes a word, rpm the number of versions that remain.
case ${1:-} in
    remove | 0) rm -rf "/opt/@NAME@/current" "/opt/@NAME@/releases" ;;
esac
