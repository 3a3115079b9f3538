// The words between coordinator and agent.

import Testing

@testable import SpunnelPool

@Suite struct PoolFramesTests {
  private let frames = [
    Frame(.task, [12], Array("echo \"$(x)\"\n\0done".utf8)),
    Frame(.done, [12, 0, 9, 1_796_045_691_524, 1, 0, 4088, 7]),
    Frame(.idle), Frame(.output, [3], [10, 10]),
  ]

  private var bytes: [UInt8] {
    var bytes: [UInt8] = []
    for frame in frames { frame.append(to: &bytes) }
    return bytes
  }

  @Test func framesArriveWholeHoweverTheyAreCut() throws {
    for size in [1, 2, 7, 1000] {
      var reader = FrameReader()
      var got: [Frame] = []
      for start in stride(from: 0, to: bytes.count, by: size) {
        reader.feed(Array(bytes[start..<min(bytes.count, start + size)]))
        while let frame = try reader.next() { got.append(frame) }
      }
      #expect(got == frames)
    }
  }

  @Test func aFrameLooksLikeALine() {
    var bytes: [UInt8] = []
    Frame(.task, [7], Array("true".utf8)).append(to: &bytes)
    #expect(String(decoding: bytes, as: UTF8.self) == "T 7 4\ntrue\n")
  }

  @Test(arguments: [
    "T\n", "T 4\ntruex\n", "Z 0\n\n", "T 1 99999999\n", "T  0\n\n", "T -1 0\n\n", "T 1x 0\n\n",
    "\n\n",
    "T 99999999999999999999 0\n\n", "hello, I am a prolog\n", String(repeating: "x", count: 300),
  ])
  func whatIsNoFrameIsAnError(_ text: String) {
    var reader = FrameReader()
    reader.feed(Array(text.utf8))
    #expect(throws: FrameError.self) { try reader.next() }
  }

  @Test func linesComeBeforeTheFirstFrame() throws {
    var reader = FrameReader()
    reader.feed(Array("a word of the prolog\nspunnel-pool agent 1 n1\nE 0\n\n".utf8))
    #expect(reader.nextLine() == "a word of the prolog")
    #expect(reader.nextLine() == "spunnel-pool agent 1 n1")
    #expect(try reader.next() == Frame(.idle))
    #expect(try reader.next() == nil)
  }
}
