#!/bin/sh
# Prints facts of this machine, one "key value" a line: POSIX sh and no Python. Read by minglibc/fleet/measurement.py.
LC_ALL=C
export LC_ALL
echo "minglibc-facts 1"
echo "system $(uname -s)"
echo "architecture $(uname -m)"

glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null)
case $glibc in
glibc\ *) echo "$glibc" ;;
*)
    # glibc's ldd has its version at the end of the first line; musl's has a line of its own and exits with 1.
    ldd=$(ldd --version 2>&1 | head -n 2)
    case $ldd in
    musl*) echo "musl $(printf '%s\n' "$ldd" | sed -n 's/^Version //p')" ;;
    *) echo "glibc $(printf '%s\n' "$ldd" | sed -n '1s/.*[ ]\([0-9.]*\)$/\1/p')" ;;
    esac
    ;;
esac

for release in /etc/os-release /usr/lib/os-release; do
    [ -r "$release" ] || continue
    sed -n -e 's/^ID=/id /p' -e 's/^VERSION_ID=/version /p' "$release" | tr -d "\"'"
    break
done

# The file libstdc++.so.6.0.28 has the symbol versions up to GLIBCXX_3.4.28.
for library in /usr/lib/*/libstdc++.so.6 /usr/lib64/libstdc++.so.6 /usr/lib/libstdc++.so.6 /lib/*/libstdc++.so.6; do
    [ -e "$library" ] || continue
    echo "libstdcxx $(readlink -f "$library")"
    break
done

[ -r /proc/cpuinfo ] && sed -n -e '/^flags[[:space:]]*:/{s/^[^:]*: */cpu /p;q;}' /proc/cpuinfo
echo "free $(df -Pk "${HOME:-/}" 2>/dev/null | sed -n '2s/^[^ ]* *[0-9]* *[0-9]* *\([0-9]*\) .*/\1/p')"

# The interpreter $1 has the version, the flags and the path that it is started with.
print_python() {
    facts=$("$1" -I -S -c 'import sys
print("%s %d.%d.%d %s" % ((sys.implementation.name,) + sys.version_info[:3] + (sys.abiflags or "-",)))' 2>/dev/null </dev/null) || return 0
    echo "python $facts $1"
}

# An interpreter with several names is reported for each; the first one is the argument, or what `python3` starts.
[ -z "${1:-}" ] || print_python "$1"
for folder in "" /usr/bin/ /usr/local/bin/ /opt/python/bin/; do
    for name in python3 python3.6 python3.7 python3.8 python3.9 python3.10 python3.11 python3.12 python3.13 python3.14 python3.15; do
        python=$(command -v "$folder$name" 2>/dev/null) || continue
        print_python "$python"
    done
done
echo "end"
