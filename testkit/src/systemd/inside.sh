# $1: the folder. Runs as process 1 of its namespaces, and becomes systemd.
set -eu
d=$1
r=$d/root
# The process as the outside knows it: /proc is still the one from there.
read -r pid rest </proc/self/stat

# A layer over all that is installed here; what is written goes with the namespace.
mount -t tmpfs tmpfs "$d/layer"
mkdir "$d/layer/upper" "$d/layer/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$d/layer/upper,workdir=$d/layer/work" "$r"
mount -t proc proc "$r/proc"
mount -t sysfs -o ro sysfs "$r/sys"
mount -t cgroup2 cgroup2 "$r/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$r/dev"
for name in null zero full random urandom tty; do
  : >"$r/dev/$name"
  mount --bind "/dev/$name" "$r/dev/$name"
done
mkdir "$r/dev/shm" "$r/dev/pts"
mount -t tmpfs tmpfs "$r/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$r/dev/pts"
ln -s pts/ptmx "$r/dev/ptmx"
ln -s /proc/self/fd "$r/dev/fd"
mount --bind "$d/run" "$r/run"
mount --bind "$d/shared" "$r$d/shared"

# None of what is installed starts by itself.
rm -rf "$r/etc/systemd/system" "$r/etc/systemd/user" "$r/lib/systemd/system-generators" "$r/etc/fstab"
rm -rf "$r"/lib/systemd/system/*.wants
mkdir -p "$r/etc/systemd/system" "$r/etc/systemd/journald.conf.d"
cp -a "$d/units/." "$r/etc/systemd/system/"
cp "$d/journald.conf" "$r/etc/systemd/journald.conf.d/test.conf"
cp "$d/machine-id" "$d/hostname" "$r/etc/"
# The journal stays in /run.
rm -rf "$r/var/log/journal"

echo "$pid" >"$d/pid.new"
mv "$d/pid.new" "$d/pid"
cd "$r"
pivot_root . mnt
umount -l mnt
mount --make-rshared /
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
  /lib/systemd/systemd --system --unit=test.target --log-target=journal --show-status=false
