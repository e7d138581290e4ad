#!/bin/sh
# Runs on the target, as `sh -c THIS sh COMMAND ROOT UMASK …`: POSIX sh, sha256sum and `mv -T`; no Python.
# Prints "minglibc-fleet 1", one "key value" a line, and "done" if it succeeds. Read by remote.py.
#
# ROOT/.minglibc-fleet        marks a root: everything below store and releases belongs to minglibc_env
# ROOT/store/HASH            files of bundles by their SHA-256
# ROOT/releases/ID           environments; one is complete if it has the file .minglibc-SHA256SUMS, which is written last
# ROOT/current               a link to releases/ID
# ROOT/.history              the IDs that were current, the newest last
# ROOT/.lock-N               a link whose target names the process that changes releases; the highest N counts
set -u
LC_ALL=C
export LC_ALL
unset CDPATH PYTHONHOME PYTHONPATH
# The login folder may be unreadable for the user of become.
cd / || exit 1
command=$1
root=$2
umask "$3"
shift 3
store=$root/store
releases=$root/releases
staging=$root/.staging
record=.minglibc-SHA256SUMS

fail() {
    printf 'error %s\n' "$*"
    exit 1
}

# The end of the file $1, as lines of details, without control characters.
details() {
    tail -c 4000 "$1" | tail -n 25 | tr -c '\n -~' '?' | sed 's/^/detail /'
    echo
}

is_id() {
    case $1 in
    *[!0-9a-f]*) return 1 ;;
    ????????????????) return 0 ;;
    *) return 1 ;;
    esac
}

# The ID of the release that "current" names; empty without one.
read_current() {
    current=
    if [ -L "$root/current" ]; then
        current=$(readlink "$root/current")
        case $current in releases/*) current=${current#releases/} ;; *) current=- ;; esac
        is_id "$current" || fail "$root/current does not name a release; move it away"
    elif [ -e "$root/current" ]; then
        fail "$root/current is not a symbolic link; move it away"
    fi
}

# The releases that were current up to now, the newest last; those that were rolled back are not among them.
read_history() {
    history=$current
    listed=
    [ -f "$root/.history" ] && while read -r id; do
        is_id "$id" || continue
        listed="$listed $id"
        [ "$id" = "$current" ] && history=$listed
    done <"$root/.history"
    return 0
}

is_complete() {
    [ -f "$releases/$1/$record" ]
}

check_tools() {
    missing=
    for tool in sha256sum mv ln readlink cat head tail cut wc mkdir rm cp df sed tr uname sleep; do
        command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
    done
    case $(mv -T /nonexistent/a /nonexistent/b 2>&1) in *ption* | *sage*) missing="$missing mv -T" ;; esac
    [ -z "$missing" ] || fail "this machine lacks:$missing"
    [ -r "/proc/$$/stat" ] || fail "/proc is not mounted"
}

# Another user who can write to the root could replace its folders by links to others.
check_root() {
    [ -e "$root" ] || [ -L "$root" ] || return 0
    [ -d "$root" ] || fail "$root is not a folder"
    if [ ! -f "$root/.minglibc-fleet" ] && [ -n "$(ls -A "$root")" ]; then
        fail "$root is not empty, and was not created by minglibc_env"
    fi
    for folder in "$root" "$store" "$releases"; do
        [ -e "$folder" ] || [ -L "$folder" ] || continue
        [ "$folder" = "$root" ] || [ ! -L "$folder" ] || fail "$folder is a symbolic link"
        # shellcheck disable=SC3067  # dash, bash, ksh and busybox have -O
        [ -O "$folder" ] || fail "$folder belongs to another user than $(id -un 2>/dev/null || id -u); use that user with become_user"
        case $(ls -ldn "$folder/") in ????????w*) fail "every user can write to $folder; run chmod o-w on it" ;; esac
    done
}

make_root() {
    check_tools
    check_root
    message=$({ mkdir -p "$root" && : >>"$root/.minglibc-fleet" && mkdir -p "$store" "$releases"; } 2>&1) ||
        fail "can't create $root: ${message##*: }"
    # Also where the user may not write, or where the file system became read-only.
    message=$({ : >"$root/.write-$$" && rm "$root/.write-$$"; } 2>&1) || fail "can't write to $root: ${message##*: }"
}

print_status() {
    [ -n "$root" ] || return 0
    check_tools
    check_root
    read_current
    read_history
    if [ -d "$root" ] && [ ! -w "$root" ]; then
        fail "can't write to $root"
    fi
    folder=$root
    while [ ! -d "$folder" ] && [ -n "$folder" ]; do folder=${folder%/*}; done
    echo "free $(df -Pk "${folder:-/}" | tail -n 1 | tr -s ' ' | cut -d ' ' -f 4)"
    [ -n "$current" ] && echo "current $current"
    for id in $history; do echo "history $id"; done
    for path in "$releases"/*; do
        is_complete "${path##*/}" && echo "release ${path##*/}"
    done
    [ -n "$current" ] && is_complete "$current" && sed 's/^/file /' "$releases/$current/$record"
    for path in "$store"/*; do
        [ -f "$path" ] && echo "stored ${path##*/}"
    done
    return 0
}

# Stores what arrives on stdin: HASH START LENGTH END for each piece of a file; at END=1 the file is complete.
receive() {
    token=$1
    shift
    make_root
    trap 'rm -f "$root/.incoming-$token"' EXIT
    trap 'exit 1' HUP INT TERM
    incoming=$root/.incoming-$token
    message=$({ cat >"$incoming"; } 2>&1) || fail_to_write
    offset=1
    while [ $# -ge 4 ]; do
        part=$store/.part-$token-$1
        [ "$2" -ne 0 ] || rm -f "$part"
        if [ $# -eq 4 ] && [ "$offset" -eq 1 ] && [ "$2" -eq 0 ]; then
            mv -T "$incoming" "$part"
        else
            [ "$2" -eq 0 ] || [ "$({ wc -c <"$part"; } 2>/dev/null || echo 0)" -eq "$2" ] || fail "the transfer was interrupted"
            message=$({ tail -c "+$offset" "$incoming" | head -c "$3" >>"$part"; } 2>&1) || fail_to_write
            offset=$((offset + $3))
        fi
        if [ "$4" = 1 ]; then
            sum=$(sha256sum <"$part")
            if [ "${sum%% *}" != "$1" ]; then
                rm -f "$part"
                fail "a file does not have the SHA-256 $1; check that the bundle was copied completely"
            fi
            mv -T "$part" "$store/$1" || fail "can't write to $store"
        fi
        shift 4
    done
}

fail_to_write() {
    rm -f "$store/.part-$token-"*
    fail "can't write to $root: ${message##*: }"
}

# When the process $1 started, in ticks since boot. Its name in the file may contain spaces.
started() {
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20
}

# Whether the process that a lock names may be running: HOST:BOOT:PID:START.
is_running() {
    [ "$1" != free ] || return 1
    owner_host=${1%%:*}
    rest=${1#*:}
    owner_boot=${rest%%:*}
    rest=${rest#*:}
    owner_pid=${rest%%:*}
    [ "$owner_boot" = "$boot" ] || { [ "$owner_host" != "$host" ] && return 0 || return 1; }
    [ "$(started "$owner_pid")" = "${rest#*:}" ]
}

# A lock is never removed to be taken over, because another process could have taken it over just before: the next
# number is created, which only one process can do, and which counts only while there is no higher one.
lock() {
    boot=unknown
    [ ! -r /proc/sys/kernel/random/boot_id ] || read -r boot </proc/sys/kernel/random/boot_id
    host=$(uname -n | tr -c 'A-Za-z0-9.\n-' _)
    waited=0
    while :; do
        highest_lock
        owner=free
        [ "$highest" -eq 0 ] || owner=$(readlink "$root/.lock-$highest" || echo free)
        if ! is_running "$owner"; then
            number=$((highest + 1))
            if ln -s "$host:$boot:$$:$(started $$)" "$root/.lock-$number" 2>/dev/null; then
                highest_lock
                [ "$highest" -ne "$number" ] || break
                rm -f "$root/.lock-$number"
            fi
        fi
        [ "$waited" -lt "$1" ] || fail "another run is changing $root: $owner (host, boot, process, start); if there is none, remove $root/.lock-$highest"
        sleep 1
        waited=$((waited + 1))
    done
    trap unlock EXIT
    trap 'exit 1' HUP INT TERM
    for path in "$root"/.lock-*; do
        [ "$path" = "$root/.lock-$number" ] || rm -f "$path"
    done
}

highest_lock() {
    highest=0
    for path in "$root"/.lock-*; do
        [ -L "$path" ] || continue
        case ${path##*-} in *[!0-9]*) continue ;; esac
        [ "${path##*-}" -le "$highest" ] || highest=${path##*-}
    done
}

unlock() {
    rm -rf "$staging"
    ln -s free "$root/.free-$$" && mv -T "$root/.free-$$" "$root/.lock-$number"
}

# What runs that were killed have left.
remove_leftovers() {
    rm -rf "$staging" "$root"/.trash-* "$root"/.incoming-* "$root"/.link-* "$root"/.free-* "$root"/.write-* "$root"/.history-* "$store"/.part-*
    for path in "$releases"/* "$releases"/.[!.]*; do
        [ -e "$path" ] || [ -L "$path" ] || continue
        id=${path##*/}
        { is_id "$id" && is_complete "$id"; } || [ "$id" = "$current" ] || rm -rf "$path"
    done
}

# The bundle in the staging folder, from the store; the SHA-256 of its SHA256SUMS is $1.
stage() {
    mkdir "$staging" "$staging/bundle" "$staging/tmp" || fail "can't write to $root"
    if [ ! -f "$store/$1" ]; then
        echo "incomplete"
        fail "$store is incomplete"
    fi
    damaged=
    while read -r hash name; do
        case $hash in *[!0-9a-f]*) fail "SHA256SUMS of the bundle is invalid" ;; esac
        case /$name/ in *[!A-Za-z0-9_./+!@%=~-]* | */../* | *//*) fail "SHA256SUMS of the bundle is invalid" ;; esac
        case $name in */*) mkdir -p "$staging/bundle/${name%/*}" ;; esac
        ln "$store/$hash" "$staging/bundle/$name" 2>/dev/null || cp "$store/$hash" "$staging/bundle/$name" 2>/dev/null || damaged=1
    done <"$store/$1"
    cp "$store/$1" "$staging/bundle/SHA256SUMS" || damaged=1
    if [ -n "$damaged" ] || ! (cd "$staging/bundle" && sha256sum -c SHA256SUMS) >"$staging/output" 2>&1; then
        # What is damaged is sent again.
        sed -n 's/: FAILED.*//p' "$staging/output" 2>/dev/null | while read -r name; do
            hash=$(grep -F "  $name" "$store/$1" | cut -c 1-64)
            [ -z "$hash" ] || rm -f "$store/$hash"
        done
        echo "incomplete"
        fail "$store is incomplete or damaged, or $root is full"
    fi
}

install_release() {
    release=$releases/${wanted:?}
    # Where "current" names a release that is damaged.
    rm -rf "$release"
    if ! TMPDIR=$staging/tmp PYTHON=$python sh "$staging/bundle/install.sh" "$release" >"$staging/output" 2>&1 </dev/null; then
        rm -rf "$release"
        echo "error the installation failed; $root/current is unchanged"
        details "$staging/output"
        exit 1
    fi
}

# The output goes to a file: a process that the command leaves in the background could keep a pipe open.
check_release() {
    release=$releases/${wanted:?}
    if ! (cd "$release" && PATH="$release/bin:$PATH" VIRTUAL_ENV="$release" TMPDIR=$staging/tmp sh -c "$smoke") >"$staging/output" 2>&1 </dev/null; then
        is_complete "$wanted" || rm -rf "$release"
        echo "error the smoke test failed; $root/current is unchanged"
        details "$staging/output"
        exit 1
    fi
}

switch() {
    { ln -s "releases/$wanted" "$root/.link-$$" && mv -T "$root/.link-$$" "$root/current"; } || fail "can't write to $root"
}

# After a power failure, "current" must not name a release whose files are empty.
flush() {
    sync -f "$root" 2>/dev/null || sync
}

write_history() {
    new=
    for old in $history; do
        [ "$old" = "$wanted" ] || { is_complete "$old" && new="$new $old"; }
    done
    # shellcheck disable=SC2086  # one ID a line
    printf '%s\n' $new "$wanted" | tail -n "$keep" >"$root/.history-$$" || fail "can't write to $root"
    mv -T "$root/.history-$$" "$root/.history" || fail "can't write to $root"
}

# Removes the releases that are not in the history, and the files that none of the others needs.
prune() {
    kept=" $(tr '\n' ' ' <"$root/.history")"
    needed=
    for path in "$releases"/*; do
        other=${path##*/}
        case $kept in
        *" $other "*) needed="$needed $(cut -c 1-64 "$path/$record" 2>/dev/null | tr '\n' ' ')" ;;
        *) mv -T "$path" "$root/.trash-$other" && rm -rf "$root/.trash-$other" && echo "removed $other" >>"$staging/removed" ;;
        esac
    done
    for path in "$store"/*; do
        case $needed in *"${path##*/}"*) ;; *) rm -f "$path" ;; esac
    done
}

# SUMS KEEP WAIT PYTHON SMOKE
deploy() {
    sums=$1
    keep=$2
    python=$4
    smoke=$5
    wanted=$(printf %s "$sums" | cut -c 1-16)
    is_id "$wanted" || fail "$sums is not a digest"
    make_root
    lock "$3"
    read_current
    remove_leftovers
    read_history
    if is_complete "$wanted"; then
        mkdir "$staging" "$staging/tmp"
        check_release
    else
        stage "$sums"
        install_release
        check_release
        flush
        { cp "$store/$sums" "$staging/record" && mv -T "$staging/record" "$releases/$wanted/$record"; } || fail "can't write to $root"
    fi
    write_history
    flush
    switch
    prune
    [ ! -f "$staging/removed" ] || cat "$staging/removed"
}

# FROM WAIT SMOKE: to the release before the current one; nothing is done if FROM is another one than the current one.
roll_back() {
    smoke=$3
    check_tools
    check_root
    [ -d "$root" ] || fail "there is no $root"
    make_root
    lock "$2"
    read_current
    [ -n "$current" ] || fail "there is no current release in $root"
    [ -z "$1" ] || [ "$1" = "$current" ] || return 0
    remove_leftovers
    read_history
    wanted=
    for old in $history; do
        [ "$old" = "$current" ] || ! is_complete "$old" || wanted=$old
    done
    [ -n "$wanted" ] || fail "there is no release before $current in $root"
    mkdir "$staging" "$staging/tmp" || fail "can't write to $root"
    check_release
    switch
    flush
    echo "current $wanted"
}

echo "minglibc-fleet 1"
case $root in
/*[!/]*) ;;
*) [ "$command$root" = status ] || fail "the root is invalid" ;;
esac
case $command in
status) print_status ;;
receive) receive "$@" ;;
deploy) deploy "$@" ;;
rollback) roll_back "$@" ;;
esac || exit 1
echo "done"
[ "$command" != status ] || exec sh -s -- "$@"
