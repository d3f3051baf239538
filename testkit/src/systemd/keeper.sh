# $1: the folder, $2: the control group, $3: what runs inside, the rest: more namespaces.
# Lives until its input ends, which comes with the test's process, however that ends.
folder=$1 group=$2 inside=$3
shift 3
mkdir "$group" && echo $$ >"$group/cgroup.procs"
unshare --cgroup --mount --pid --uts --ipc "$@" --fork --kill-child --propagation private -- \
  sh -c "$inside" sh "$folder" </dev/null >"$folder/console" 2>&1 &
child=$!
cat >/dev/null
kill -s KILL "$child"
wait "$child"
# Out of the group, so that it can go.
echo $$ >"${group%/*}/cgroup.procs"
tries=0
while [ -d "$group" ] && [ $tries -lt 200 ]; do
  find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
  tries=$((tries + 1))
  sleep 0.05
done
rm -rf -- "$folder"
