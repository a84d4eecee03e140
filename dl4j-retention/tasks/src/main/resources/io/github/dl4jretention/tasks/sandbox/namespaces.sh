# In new user, mount, network, process and IPC namespaces: a root of its own in memory, with the system's programs and
# nothing else. $1 folder for it, $2 interpreter, $3 seconds, $4 memory, $5 files, $6 processes. The program comes on standard input.
set -e
mount -t tmpfs -o size="$5",mode=755 tmpfs "$1"
for d in usr bin sbin lib lib32 lib64; do
  if [ -L "/$d" ]; then
    cp -P "/$d" "$1/$d"
  elif [ -d "/$d" ]; then
    mkdir "$1/$d"
    mount --rbind "/$d" "$1/$d"
    mount -o remount,bind,ro "$1/$d"
  fi
done
mkdir "$1/work" "$1/tmp" "$1/dev"
for f in null zero urandom; do
  : > "$1/dev/$f"
  mount --bind "/dev/$f" "$1/dev/$f"
done
cat > "$1/work/program.py"
exec chroot "$1" /usr/bin/setpriv --no-new-privs --bounding-set=-all --inh-caps=-all \
  /usr/bin/prlimit --cpu="$(($3 + 2))" --as="$4" --fsize="$5" --nproc="$6" --core=0 --nofile=64 \
  /usr/bin/env -i HOME=/work PATH=/usr/bin:/bin LC_ALL=C.UTF-8 \
  /bin/sh -c 'cd /work; exec "$0" -I program.py < /dev/null' "$2"
