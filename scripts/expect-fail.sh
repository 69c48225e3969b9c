#!/usr/bin/env bash
# Runs a squall command that ought to find something: scripts/expect-fail.sh COMMAND...
# Ends 0 only if the command ended 99, squall's FAIL. Any other end, PASS included, means that squall missed
# the harm or could not judge, and is passed on as a failure of this script.
set -euo pipefail

rc=0
"$@" || rc=$?
case $rc in
  99) echo "as it should be: squall said FAIL (exit 99)"; exit 0 ;;
  0) why="PASS, but there is a flaw to find" ;;
  97) why="INVALID: the generator, the baseline or the injector was at fault" ;;
  98) why="INCONCLUSIVE: too little evidence" ;;
  104) why="bad configuration, nothing was sent" ;;
  105) why="interrupted" ;;
  107) why="runtime error" ;;
  110) why="a fault could not be undone: run squall heal" ;;
  *) why="no verdict at all" ;;
esac
echo "expected FAIL (exit 99), but squall ended $rc: $why" >&2
exit 1
