# shellcheck shell=bash
#
# lib.sh
#	What test/run and test/demo share: a sandbox to build and run servers in.
#
# The sandbox is a directory under /tmp that holds a copy of the source tree
# and a private copy of the PostgreSQL installation, into which the extension
# is installed.  So neither the checkout nor the system's installation is ever
# written to, no privilege is needed once the packages are there, and nothing
# is left behind.
#
#	$sandbox/src	the sources; builds happen here
#	$sandbox/pg		PostgreSQL, at the same relative paths as the original
#	$sandbox/data	a server's data directory, its socket in $sandbox
#	$sandbox/log	what the steps wrote

set -euo pipefail

# Where the sandbox is, and whether this process has to remove it.
sandbox=${TOGG_SANDBOX-}

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 2
}

# ---------------------------------------------------------------------------
# Packages
# ---------------------------------------------------------------------------

have()
{
	command -v "$1" >/dev/null
}

# The PostgreSQL to use: PG_CONFIG from the environment, or the one in PATH.
pg_config_value()
{
	"${PG_CONFIG:-pg_config}" "--$1" 2>/dev/null
}

# Major version of the installed PostgreSQL, or else the distribution's own.
pg_major()
{
	local version

	if version=$(pg_config_value version); then
		version=${version#PostgreSQL }
		printf '%s\n' "${version%%[!0-9]*}"
	else
		apt-cache depends postgresql 2>/dev/null |
			sed -n 's/.*Depends: postgresql-\([0-9][0-9]*\)$/\1/p'
	fi
}

# Print the Debian packages that are missing, by what they are wanted for.
# "build" is enough to build and start a server, "test" runs every test.
missing_packages()
{
	local purpose=$1 major

	major=$(pg_major)
	have gcc && [[ -e /usr/include/stdio.h ]] || echo gcc libc6-dev
	have make || echo make
	[[ -x $(pg_config_value bindir)/postgres ]] || echo "postgresql-$major"
	[[ -e $(pg_config_value includedir-server)/postgres.h &&
		-e $(pg_config_value pgxs) ]] || echo "postgresql-server-dev-$major"

	[[ $purpose = test ]] || return 0
	[[ -e $(pg_config_value sharedir)/extension/pgtap.control ]] ||
		echo "postgresql-$major-pgtap"
	have prove || echo perl
	have pg_prove || echo libtap-parser-sourcehandler-pgtap-perl
	perl -MIPC::Run -e 1 2>/dev/null || echo libipc-run-perl
}

# Install what is missing.  Without root, or without apt, only say what it is.
install_packages()
{
	local purpose=$1 log=/tmp/togg-apt.$$.log
	local no_cluster=/etc/postgresql-common/createcluster.d/togg-test.conf
	local -a missing

	read -r -d '' -a missing < <(missing_packages "$purpose") || true
	(( ${#missing[@]} > 0 )) || return 0
	if (( EUID != 0 )) || ! have apt-get; then
		die "missing packages, install them first: ${missing[*]}"
	fi

	export DEBIAN_FRONTEND=noninteractive
	echo "refreshing the package lists"
	apt-get update -qq >"$log" 2>&1 || { tail "$log"; die "apt-get update failed"; }
	# The distribution's PostgreSQL version is known only now.
	read -r -d '' -a missing < <(missing_packages "$purpose") || true
	echo "installing ${missing[*]}"

	# Installing a server must not leave one running: no "main" cluster.
	mkdir -p "${no_cluster%/*}"
	echo 'create_main_cluster = false' >"$no_cluster"
	if ! apt-get install -y -qq --no-install-recommends "${missing[@]}" \
		>"$log" 2>&1; then
		rm -f "$no_cluster"
		tail -n 20 "$log"
		die "apt-get install failed"
	fi
	rm -f "$no_cluster" "$log"
	hash -r
}

# ---------------------------------------------------------------------------
# The sandbox
# ---------------------------------------------------------------------------

# Copy the sources: what git knows or would add, or all of it without git.
# Files that a build leaves behind never come along.
copy_sources()
{
	local from=$1 to=$2

	mkdir -p "$to"
	if have git && git -c safe.directory='*' -C "$from" rev-parse >/dev/null 2>&1
	then
		# A deleted file stays in git's index until that is committed.
		git -c safe.directory='*' -C "$from" ls-files -z --cached --others \
			--exclude-standard |
			(cd "$from" && perl -0 -ne 'chomp; print "$_\0" if -e') |
			tar -C "$from" --null -T - -cf - | tar -C "$to" -xf -
	else
		tar -C "$from" --exclude=./.git --exclude='*.o' --exclude='*.so' \
			--exclude='*.bc' --exclude=./tmp_check --exclude=./test/unit/bin \
			-cf - . | tar -C "$to" -xf -
	fi
}

# Run the calling script again inside a new sandbox, as a user that may run a
# server; the process that comes back from here is that one.  Root becomes the
# user "postgres", because PostgreSQL refuses to run as root.
enter_sandbox()
{
	local purpose=$1 script=$2 top user=''
	shift 2

	if [[ -n $sandbox ]]; then
		open_sandbox
		return
	fi

	install_packages "$purpose"
	top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
	sandbox=$(mktemp -d /tmp/togg.XXXXXX)
	trap 'rm -rf "$sandbox"' EXIT
	copy_sources "$top" "$sandbox/src"

	cd "$sandbox"
	export TOGG_SANDBOX=$sandbox
	if (( EUID == 0 )); then
		user=postgres
		id "$user" >/dev/null 2>&1 || user=nobody
		chown -R "$user:" "$sandbox"
		exec setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups \
			bash "$sandbox/src/test/$script" "$@"
	fi
	exec bash "$sandbox/src/test/$script" "$@"
}

# First thing inside: an environment that is the same for everyone.
open_sandbox()
{
	local pg_config=${PG_CONFIG:-pg_config} variable

	trap close_sandbox EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	for variable in $(compgen -e); do
		case $variable in
			PG* | LC_* | MAKE* | MFLAGS | TOGG_SANDBOX) unset "$variable" ;;
		esac
	done
	export HOME=$sandbox TMPDIR=$sandbox/tmp LC_ALL=C LANG=C.UTF-8
	mkdir -p "$sandbox/log" "$TMPDIR"
	copy_postgres "$("$pg_config" --bindir)/pg_config"
	cd "$sandbox/src"
}

# Last thing inside: stop every server that was started here, tests' included.
close_sandbox()
{
	local pid_file

	trap '' INT TERM HUP
	while IFS= read -r pid_file; do
		pg_ctl -D "${pid_file%/*}" -m immediate -w stop >/dev/null 2>&1 || true
	done < <(find "$sandbox" -name postmaster.pid 2>/dev/null)
	if [[ -n ${TOGG_KEEP-} ]]; then
		echo "kept: $sandbox" >&2
	else
		cd /
		rm -rf "$sandbox"
	fi
}

# Lay out a private PostgreSQL under $sandbox/pg.  The programs are real
# copies, because they find their libraries and share files relative to where
# their executable really is; all else is links, which "make install" replaces
# by files of its own.
copy_postgres()
{
	local original=$1 root=$sandbox/pg bindir dir

	bindir=$("$original" --bindir)
	mkdir -p "$root$bindir"
	for dir in "$bindir"/{pg_*,pgbench,postgres,psql,initdb,createdb,dropdb,createuser,vacuumdb,reindexdb}
	do
		[[ ! -f $dir ]] || cp -L "$dir" "$root$bindir/"
	done
	for dir in pkglibdir sharedir; do
		dir=$("$original" "--$dir")
		mkdir -p "$root$dir"
		cp -rs "$dir/." "$root$dir/"
	done
	for dir in libdir pkgincludedir includedir includedir-server; do
		dir=$("$original" "--$dir")
		mkdir -p "$root${dir%/*}"
		[[ -e $root$dir ]] || ln -s "$dir" "$root$dir"
	done
	# Should the system have this extension, it is not the one under test.
	find "$root" -name 'togg*' -prune -exec rm -rf {} +

	export PATH=$root$bindir:$PATH
	[[ $(pg_config --sharedir) = "$root"/* ]] ||
		die "the copy of PostgreSQL in $root does not find its own files"
}

# ---------------------------------------------------------------------------
# Building, and a server
# ---------------------------------------------------------------------------

# The clang that is installed, or nothing: plain, or the one PGXS asks for.
find_clang()
{
	local makefile clang

	makefile=$(pg_config --pgxs)
	clang=$(sed -n 's/^CLANG *= *//p' "${makefile%/*}/../Makefile.global")
	if have clang; then
		echo clang
	elif [[ -n $clang ]] && have "$clang"; then
		echo "$clang"
	fi
}

# Build and install into the private PostgreSQL, warnings being errors.  LLVM
# bitcode is part of an installation where clang is there to make it.
build_and_install()
{
	local -a with_llvm=()

	[[ -n $(find_clang) ]] || with_llvm=(with_llvm=no)
	make -s -j2 CC=gcc COPT=-Werror "${with_llvm[@]}" all &&
		make -s CC=gcc "${with_llvm[@]}" install
}

# Start a server that only this user can reach, by a socket in the sandbox.
# Arguments are further settings, name=value.
start_server()
{
	local setting

	export PGHOST=$sandbox PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
	initdb -D "$sandbox/data" -U postgres -A trust -E UTF8 --locale=C -N \
		>"$sandbox/log/initdb.log" 2>&1 ||
		{ cat "$sandbox/log/initdb.log"; die "initdb failed"; }
	for setting in "listen_addresses=''" "unix_socket_directories='$sandbox'" \
		'unix_socket_permissions=0700' 'fsync=off' "$@"; do
		echo "$setting"
	done >>"$sandbox/data/postgresql.conf"
	pg_ctl -D "$sandbox/data" -l "$sandbox/log/server.log" -w -s start ||
		{ tail "$sandbox/log/server.log"; die "the server did not start"; }
}

stop_server()
{
	pg_ctl -D "$sandbox/data" -m fast -w -s stop
}

# psql that stops at the first error and prints plain values.
sql()
{
	psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"
}
