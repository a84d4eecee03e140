# Without namespaces: limits, an empty environment and an empty folder. $1 folder, $2 interpreter, $3 seconds, $4 memory,
# $5 files, $6 processes. The program comes on standard input.
cd "$1" || exit 1
cat > program.py || exit 1
ulimit -c 0
ulimit -t "$3" || exit 1
ulimit -v $(($4 / 1024)) 2> /dev/null || echo 'memory is not limited' >&2
ulimit -f $(($5 / 512)) || exit 1
ulimit -u "$6" 2> /dev/null || echo 'processes are not limited' >&2
exec env -i HOME="$1" PATH="$PATH" LC_ALL=C.UTF-8 "$2" -I program.py < /dev/null
