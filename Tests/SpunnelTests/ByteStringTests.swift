// What is no UTF-8 arrives as it is.

import Glibc
import SpunnelSystem
import Testing

@Suite struct ByteStringTests {
  private let odd = ByteString(bytes: Array("caf".utf8) + [0xE9, 0x20, 0xFF])

  @Test func argumentsAndVariablesArriveByteForByte() throws {
    let script = #"printf '%s' "$1" "$ODD" | od -An -v -tx1"#
    let helper = try Helper(
      Program(
        path: "/bin/bash", arguments: ["bash", "-c", ByteString(script), "sh", odd],
        environment: helperPath + ["ODD=" + odd], descriptors: []))
    #expect(helper.all() == " 63 61 66 e9 20 ff 63 61 66 e9 20 ff\n")
  }

  @Test func aProgramIsFoundWhateverItsNameAndDirectory() throws {
    let scratch = try Scratch()
    let path = ByteString(scratch.path)
    let script =
      #"cd "$1" && mkdir "$2" && printf '#!/bin/sh\necho it ran\n' >"$2/$2" && chmod 700 "$2/$2""#
    let maker = try Helper(
      Program(
        path: "/bin/bash", arguments: ["bash", "-c", ByteString(script), "sh", path, odd],
        environment: helperPath, descriptors: []))
    #expect(maker.status() == 0)
    let found = Program.find(odd, searchPath: "/usr/bin:" + path + "/" + odd)
    #expect(found == path + "/" + odd + "/" + odd)
    let program = Program(
      path: try #require(found), arguments: [odd], environment: helperPath, descriptors: [])
    #expect(try Helper(program).all() == "it ran\n")
    #expect(unsafe system("rm -r \(scratch.path)/caf*") == 0)
  }

  @Test func thisProcesssOwnAreAsTheyCame() async {
    await #expect(processExitsWith: .success) {
      let bytes: [UInt8] = Array("ODD=caf".utf8) + [0xE9]
      let entry = bytes.map { CChar(bitPattern: $0) } + [0]
      #expect(unsafe putenv(strdup(entry)) == 0)
      #expect(Process.environment().contains(ByteString(bytes: bytes)))
    }
    #expect(Process.arguments().map(\.text) == CommandLine.arguments)
  }

  @Test func itIsComparedByBytes() {
    #expect(odd.hasPrefix("caf") && !odd.hasPrefix("café") && odd.hasPrefix(""))
    #expect(odd != ByteString(odd.text) && "a" + odd != odd)
    // One text in two ways of writing it.
    #expect(ByteString("\u{E9}") != ByteString("e\u{301}"))
    #expect(("ab" as ByteString).dropFirst(1) == "b" && odd.dropFirst(9).bytes == [])
  }
}
