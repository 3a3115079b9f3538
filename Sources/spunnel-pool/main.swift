// The program spunnel-pool, coordinator and agent. All its code is in SpunnelPool.

import Glibc
import SpunnelPool

exit(CInt(PoolProcess.main(Array(CommandLine.arguments.dropFirst()))))
