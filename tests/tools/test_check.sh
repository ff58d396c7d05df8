#!/bin/sh
# thaw-test: timeout=60 cores=1
# tools/check must find each kind of broken rule in a tree made for it, and nothing in the same tree without them.
root=$(cd "$(dirname "$0")/../.." && pwd)
tree=$(mktemp -d) || exit 1
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/tools" "$tree/include/thaw" "$tree/src/base" "$tree/src/tensor" "$tree/tests/base"
cp "$root/tools/check" "$root/tools/check-layers" "$root/tools/check-collective" "$tree/tools/"
cp "$root/.clang-format" "$tree/"
cd "$tree" || exit 1
failures=0

printf 'base:\ncomm: base | mpi.h\ntensor: base\n' >src/LAYERS
mkdir -p src/comm
echo '# Changes' >CHANGELOG.md
cat >include/thaw/base.h <<'C'
int thaw_one(void);
C
cat >include/thaw/tensor.h <<'C'
typedef int thaw_status;
C
cat >src/base/one.c <<'C'
#include "thaw/base.h"

#include <stdlib.h>

/* One may write of sprintf() and of TO DO lists. */
int thaw_one(void)
{
    free(malloc(1));
    return 1;
}
C

expect() { # expect WHAT PATTERN: the last run of tools/check said so
    if ! grep -q "$2" out; then
        echo "not found: $1 ($2)"
        sed 's/^/    /' out
        failures=$((failures + 1))
    fi
}
with() { # with FILE PATTERN: the file from standard input breaks one rule
    cat >"$1"
    if tools/check >out 2>&1; then
        echo "tools/check ended with 0 on $1"
        failures=$((failures + 1))
    fi
    expect "$1" "$2"
    rm -f "$1"
}

if ! tools/check >out 2>&1; then
    echo "the clean tree is not clean:"
    cat out
    failures=$((failures + 1))
fi

with src/tensor/a.c 'a.c:3: sprintf() is banned' <<'C'
int f(char *x);

int f(char *x) { return sprintf(x, "y"); }
C
with src/tensor/a.c 'a.c:1: malloc() is banned' <<'C'
void *m(void) { return malloc(1); }
C
with src/tensor/a.c 'a.c:1: exit() is banned' <<'C'
void m(void) { exit(1); }
C
with src/tensor/a.c 'a.c:1: writes to stderr' <<'C'
void m(void) { fprintf(stderr, "x"); }
C
with tests/base/a.c 'a.c:1: rand() is banned' <<'C'
int m(void) { return rand(); }
C
printf '/* TO%s: the rest */\n' DO | with src/tensor/a.c 'a.c:1: unfinished'
with src/tensor/a.c 'tensor may not include thaw/comm.h' <<'C'
#include "thaw/comm.h"
C
with src/tensor/a.c '<mpi.h> belongs to' <<'C'
#include <mpi.h>
C
with src/base/a.c 'a.c:1: the first include is not "thaw/base.h"' <<'C'
#include <stdlib.h>
C
with include/thaw/comm.h 'thaw_lost returns a status but is not THAW_NODISCARD' <<'C'
thaw_status thaw_lost(int a,
                      int b);
C
with src/comm/a.c 'may leave other ranks waiting' <<'C'
thaw_status thaw_sum(thaw_comm *comm, int a)
{
    THAW_TRY(local(a));
    return THAW_OK;
}
C
with src/base/a.c 'the site disk of thaw_fault is not listed' <<'C'
#include "thaw/base.h"

bool full(void)
{
    return thaw_fault("disk");
}
C
with src/base/faults.def 'no thaw_fault("disk") in src' <<'C'
THAW_FAULT_SITE(disk)
C
mkdir -p src/cli docs
printf '| `thaw train CONFIG` | trains |\n' >README.md
printf '.It Nm Cm train Ar config\n' >docs/thaw.1
echo 'THAW_KIND(train, "train")' >src/cli/kinds.def
tools/check >out 2>&1 || { echo "a documented command was found"; cat out; failures=$((failures + 1)); }
with src/cli/kinds.def 'README.md:1: thaw advise is not' <<'C'
THAW_KIND(train, "train")
THAW_KIND(advise, "advise")
C
echo 'THAW_KIND(train, "train")' >src/cli/kinds.def
printf '.It Nm Cm trains\n' | with docs/thaw.1 'docs/thaw.1:1: thaw train is not'
rm -r src/cli README.md
yes 'int x;' | head -601 | with src/base/a.c 'a.c:600: the file has 601 lines'
with tools/a 'tools/a:' <<'C'
#!/bin/sh
if true; then
C

mv CHANGELOG.md kept
tools/check >out 2>&1 && failures=$((failures + 1))
expect changelog 'CHANGELOG.md:1: missing'
mv kept CHANGELOG.md

long() { # long COMMENT: a function of 70 lines under the comment
    printf '#include "thaw/base.h"\n\n%s\nint f(int x)\n{\n' "$1"
    yes '    x++;' | head -66
    printf '    return x;\n}\n'
}
if command -v pmccabe >/dev/null; then
    long '/* Why. */' | with src/base/a.c 'a.c:4: f has 70 lines'
    long '/* long: a table in disguise */' >src/base/a.c
    tools/check >out 2>&1 || { echo "an excused function was found"; cat out; failures=$((failures + 1)); }
    rm src/base/a.c
fi
if clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
    with src/tensor/a.c 'a.c:1: not formatted' <<'C'
int   x ;
C
fi
[ "$failures" = 0 ]
