#!/usr/bin/env bash
# Makes a container image from this machine's Postgres, for where none can be pulled: its programs, the libraries that
# they need, a shell.   postgres_image.sh [NAME]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=$(find /usr/lib/postgresql/*/bin -maxdepth 0 | sort -V | tail -1)
version=$(basename "$(dirname "$bin")")
share=/usr/share/postgresql/$version
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

mapfile -t files < <(
    type -P bash sh chmod chown locale setpriv
    printf '%s\n' "$bin"/{initdb,pg_ctl,pg_isready,postgres,psql} "${bin%bin}lib"/{dict_snowball,plpgsql}.so
)
mapfile -t libraries < <(ldd "${files[@]}" | grep -o '/[^ :]*' | sort -u)
folders=("$share" /usr/share/zoneinfo /usr/lib/locale/C.utf8)

mkdir -p "$root"/{etc,usr/{bin,sbin,lib,lib64},var/run/postgresql,var/lib/postgresql/data}
mkdir -m 1777 "$root/tmp"
for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$root/$folder"; done
tar -C / -c --dereference "${files[@]#/}" "${libraries[@]#/}" "${folders[@]#/}" | tar -C "$root" -x
echo "listen_addresses = '*'" >>"$root$share/postgresql.conf.sample"
printf '%s\n' root:x:0:0::/:/bin/sh postgres:x:999:999::/var/lib/postgresql:/bin/sh >"$root/etc/passwd"
printf '%s\n' root:x:0: postgres:x:999: >"$root/etc/group"
install -m 755 "$here/postgres-entrypoint" "$root/entrypoint"

tar -C "$root" -c --numeric-owner --owner=0 --group=0 . | docker import \
    -c "ENV PATH=$bin:/usr/sbin:/usr/bin" -c 'ENV LANG=C.UTF-8' -c 'ENV PGDATA=/var/lib/postgresql/data' \
    -c 'VOLUME /var/lib/postgresql/data' -c 'EXPOSE 5432' \
    -c 'ENTRYPOINT ["/entrypoint"]' -c 'CMD ["postgres"]' - "${1:-postgres:$version}"
