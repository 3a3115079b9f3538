// The pool's executable, coordinator and agent: everything is in SpunnelPool.

import Glibc
import SpunnelPool

exit(CInt(PoolProcess.main(Array(CommandLine.arguments.dropFirst()))))
