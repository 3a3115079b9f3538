// `SpunnelFuzz TARGET [libFuzzer's options and folders]`: fuzzes one of the targets.

import Glibc
import LibFuzzer

private nonisolated(unsafe) var chosen: Target?

/// What libFuzzer calls with each input.
@c(LLVMFuzzerTestOneInput)
public func test(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  chosen?.test(Array(UnsafeBufferPointer(start: bytes, count: count)))
  return 0
}

/// Takes the target's name out of the command line and hands the rest to libFuzzer.
func run() -> CInt {
  let name = CommandLine.arguments.dropFirst().first
  guard let target = targets.first(where: { $0.name == name }) else {
    print(targets.map(\.name).joined(separator: "\n"))
    return name == nil ? 0 : 2
  }
  chosen = target
  var count = CommandLine.argc - 1
  var words = CommandLine.unsafeArgv + 1
  words[0] = CommandLine.unsafeArgv[0]
  return LLVMFuzzerRunDriver(&count, &words, test)
}

exit(run())
