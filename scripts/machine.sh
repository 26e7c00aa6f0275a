# Machines of their own for package-test and deploy-test, who source this: this machine's files under an overlay, in
# namespaces, with systemd as the first process. What they change is in memory and goes with them.
# shellcheck shell=bash

declare -A machine_of=() # the first process of each, by name
machine_jobs=()          # and what waits for its end
machines_dir=$(mktemp -d "${TMPDIR:-/tmp}/zog-machines.XXXXXX")
machines_group=

# Prints why machines cannot be had here, if so.
no_machines() {
    local program
    [[ $EUID == 0 ]] || echo "dpkg and systemd need root"
    for program in unshare nsenter findmnt ip dpkg-query; do
        command -v "$program" >/dev/null || echo "there is no $program"
    done
    [[ -x /lib/systemd/systemd ]] || echo "there is no systemd"
    findmnt --types cgroup2 >/dev/null || echo "there are no control groups"
}

# What the first process does before it becomes systemd: $root is to be the machine's, $prepare is run there.
first_process() {
    cat <<'END'
set -euo pipefail
mount --make-rprivate /
mount -t tmpfs tmpfs "$dir"
mkdir "$dir"/{upper,work,root}
root=$dir/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" "$root"
for place in run tmp var/tmp dev; do mount -t tmpfs -o mode=755 tmpfs "$root/$place"; done
chmod 1777 "$root/tmp" "$root/var/tmp"
mkdir -p "$root/dev/pts" "$root/dev/shm"
for node in null zero full random urandom tty; do
    touch "$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
# Nothing of this machine's own starts there.
rm -rf "$root"/etc/systemd/system/* "$root"/var/lib/zog "$root"/etc/zog
rm -f "$root/usr/sbin/policy-rc.d" # images of containers forbid to start services with it
eval "$prepare"
cd "$root"
mkdir -p .before
pivot_root . .before
umount -l .before
exec env -i container=zog PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=basic.target --log-target=journal
END
}

# start_machine NAME PREPARE NETWORK...: a machine whose network is that in which the command NETWORK runs another one.
start_machine() {
    local name=$1 dir=$machines_dir/$1 group outside deadline=$((SECONDS + 60))
    machines_group=$(findmnt --types cgroup2 --noheadings --output TARGET --first-only)/${machines_dir##*/}
    group=$machines_group/$name
    mkdir -p "$dir" "$group"
    first_process >"$dir/first_process"
    # The machine's control groups are below one of its own: there its namespace begins.
    # shellcheck disable=SC2016 # the inner shell expands it
    env dir="$dir" prepare="$2" bash -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "$group" "${@:3}" \
        unshare --mount --uts --ipc --pid --cgroup --fork --kill-child bash "$dir/first_process" \
        >"$dir.console" 2>&1 &
    outside=$!
    machine_jobs+=("$outside")
    until machine_of[$name]=$(pgrep --parent "$outside"); do
        ((SECONDS < deadline)) || die "the machine $name does not begin: $(cat "$dir.console")"
        sleep 0.05 # between two looks
    done
    until inside "$name" systemctl is-active --quiet basic.target 2>/dev/null; do
        [[ -d /proc/${machine_of[$name]} ]] || die "the machine $name has ended: $(cat "$dir.console")"
        ((SECONDS < deadline)) || die "the machine $name is not up after 60 s: $(inside "$name" systemctl list-jobs)"
        sleep 0.1 # between two looks
    done
}

# inside NAME COMMAND...
inside() { nsenter --target "${machine_of[$1]}" --mount --net --uts --ipc --pid --cgroup --root -- "${@:2}"; }

# With the first process of its namespace all others end, and the mounts go.
end_machines() {
    local name deadline=$((SECONDS + 10))
    for name in "${!machine_of[@]}"; do kill -KILL "${machine_of[$name]}" || true; done
    ((${#machine_jobs[@]} == 0)) || wait "${machine_jobs[@]}" || true # killed, as it should be
    rm -rf "$machines_dir"
    # Groups of processes that are just ending cannot be removed yet.
    until [[ ! -d $machines_group ]] || find "$machines_group" -depth -type d -exec rmdir {} + 2>/dev/null; do
        ((SECONDS < deadline)) || break
        sleep 0.1 # between two looks
    done
    [[ ! -d $machines_group ]] || echo "left over: $machines_group" >&2
}
