// What a user says about a cluster, and what is remembered and computed from it.

import SpunnelSystem
import Testing

@testable import SpunnelCluster

@Suite struct ClusterNames {
  @Test(arguments: ["default", "a", "A-1_b", "2nd", String(repeating: "x", count: 32)])
  func areTaken(_ text: String) throws {
    #expect(try ClusterName(text).description == text)
  }

  @Test(arguments: [
    "", "-a", "_a", ".", "..", "a/b", "../x", "a b", "a\n", "ä", String(repeating: "x", count: 33),
  ])
  func areRefused(_ text: String) {
    #expect(throws: ClusterError.self) { try ClusterName(text) }
  }
}

@Suite struct MemorySizes {
  @Test(arguments: [
    ("1", 1), ("512", 512), ("512M", 512), ("16g", 16384), ("16G", 16384), ("1T", 1_048_576),
    ("2048K", 2),
  ])
  func areRead(_ text: String, _ mebibytes: Int) throws {
    #expect(try MemorySize(text).mebibytes == mebibytes)
  }

  @Test(arguments: [
    "", "0", "0G", "1023K", "G", "-1", "+1", "1.5G", "16GB", "16 G", " 1", "1P",
    "99999999999999999999",
  ])
  func areRefused(_ text: String) {
    #expect(throws: ClusterError.self) { try MemorySize(text) }
  }

  @Test(arguments: [(1, "1M"), (1024, "1G"), (1536, "1536M"), (2_097_152, "2T")])
  func areShown(_ mebibytes: Int, _ text: String) {
    #expect(MemorySize(mebibytes: mebibytes).description == text)
  }
}

@Suite struct Counts {
  @Test func areWholeNumbersWithinBounds() throws {
    #expect(try count("8", "--cpus", in: 1...16) == 8)
    for text in ["", "0", "17", "8x", "+8", "-1", "0x8"] {
      #expect(throws: ClusterError.malformed("--cpus", text, "a whole number from 1 to 16")) {
        try count(text, "--cpus", in: 1...16)
      }
    }
  }

  @Test func policies() throws {
    #expect(try Policy("fifo") == .fifo)
    #expect(try Policy("largest-first") == .largestFirst)
    #expect(throws: ClusterError.self) { try Policy("mcf") }
  }
}

@Suite struct Shapes {
  let machine = Machine(processors: 8, memory: MemorySize(mebibytes: 16000))

  @Test func areTheMachineUnlessSomethingElseIsAskedFor() {
    let shape = Shape(ShapeRequest(), on: machine)
    #expect(shape.processors == 8 && shape.memory.mebibytes == 16000 && shape.gpus == 0)
    #expect(shape.policy == .fifo && shape.nodeNames == ["n1"] && shape.binds)
  }

  @Test func nodesShareTheMachine() {
    var request = ShapeRequest()
    request.nodes = 3
    let shape = Shape(request, on: machine)
    #expect(shape.processors == 2 && shape.memory.mebibytes == 5333 && !shape.binds)
    #expect(shape.nodeNames == ["n1", "n2", "n3"])
    request.nodes = 16
    #expect(Shape(request, on: machine).processors == 1)
  }

  @Test func mayBeLargerThanTheMachine() {
    var request = ShapeRequest()
    request.processors = 64
    #expect(Shape(request, on: machine).processors == 64)
    #expect(!Shape(request, on: machine).binds)
  }
}

@Suite struct Records {
  @Test func areReadAsTheyWereWritten() {
    var request = ShapeRequest()
    request.processors = 4
    request.memory = MemorySize(mebibytes: 1536)
    request.gpus = 2
    request.policy = .largestFirst
    request.nodes = 2
    let ports = Ports(controller: 1, sshd: 2, nodes: [3, 4])
    let record = SavedRecord(request: request, slurmPrefix: "/with space/=", ports: ports)
    #expect(SavedRecord(text: record.text) == record)
    #expect(SavedRecord(text: SavedRecord().text) == SavedRecord())
  }

  @Test func eachDaemonHasItsPortByItsName() {
    let ports = Ports(controller: 1, sshd: 2, nodes: [3, 4])
    let daemons = [Daemon.munged, .controller, .sshd, .node("n1"), .node("n2"), .node("n3")]
    #expect(daemons.map { ports.port(of: $0) } == [nil, 1, 2, 3, 4, nil])
  }

  @Test(arguments: [
    "", "garbage", "cpus=x\nports=1\npolicy=?\n=\n", "ports=70000,1,2x\n", "nodes=0\n",
    "nodes=65\n", "cpus=0\n", "cpus=99999999999999999999\n", "gpus=65\n", "memory=0M\n",
  ])
  func thatMakeNoSenseAreEmpty(_ text: String) {
    #expect(SavedRecord(text: text) == SavedRecord())
  }
}

@Suite struct EnvironmentChanges {
  private func applied(_ entries: [ByteString]) -> [String] {
    let layout = Layout(name: .standard, folder: "/s/default", root: "/s/default")
    return EnvironmentChange(layout, programs: ["/p/bin", "/p/sbin"], libraries: ["/p/lib"])
      .applied(to: entries).map(\.text)
  }

  @Test func goBeforeWhatIsThere() {
    #expect(
      applied(["PATH=/bin:/usr/bin", "A=b", "LD_LIBRARY_PATH=/lib"]) == [
        "A=b", "SLURM_CONF=/s/default/slurm.conf", "PATH=/p/bin:/p/sbin:/bin:/usr/bin",
        "LD_LIBRARY_PATH=/p/lib:/lib",
      ])
  }

  @Test(arguments: [[], ["PATH=", "LD_LIBRARY_PATH="]])
  func neverAddTheCurrentDirectory(_ entries: [ByteString]) {
    #expect(
      applied(entries) == [
        "SLURM_CONF=/s/default/slurm.conf", "PATH=/p/bin:/p/sbin", "LD_LIBRARY_PATH=/p/lib",
      ])
  }
}

@Suite struct Layouts {
  @Test func longOrOddPathsAreReachedThroughAShortLink() {
    let plain = ClusterHome(user: 7, path: "/home/user1/.local/state/spunnel/clusters")
    #expect(plain.layout(.standard).root == plain.path + "/default")
    for path in [
      "/home/a b", "/home/a#b", "/home/a|b", "/home/a%b", "/" + String(repeating: "x", count: 68),
    ] {
      let layout = ClusterHome(user: 7, path: path).layout(.standard)
      #expect(layout.folder == path + "/default")
      #expect(layout.root.hasPrefix("/tmp/spunnel-clusters-7/default-"))
      #expect(Layout.isPlain(layout.root))
    }
  }

  @Test func likeNamedClustersOfTwoHomesHaveTwoLinks() {
    let roots = ["/a b", "/b b"].map { ClusterHome(user: 7, path: $0).layout(.standard).root }
    #expect(roots[0] != roots[1])
  }
}

@Suite struct FleetTests {
  @Test func aDescriptionIsKeptWithWhatTheHostsAnswered() throws {
    var fleet = try Fleet(
      description: "# two\nn1 8 16 fast,new\n\n n2\t4  1.5 # old\n")
    #expect(fleet.nodes.map(\.name) == ["n1", "n2"])
    #expect(fleet.nodes.map(\.memory.mebibytes) == [16384, 1536])
    #expect(fleet.nodes[0].groups == ["fast", "new"] && fleet.nodes[1].groups == [])
    #expect(Fleet(kept: fleet.text) == fleet)
    fleet.controllerAddress = "10.0.0.1"
    (fleet.nodes[1].host, fleet.nodes[1].address, fleet.nodes[1].port) = ("h", "fe80::2", 21000)
    #expect(Fleet(kept: fleet.text) == fleet)
    let shape = Shape(
      ShapeRequest(), on: Machine(processors: 1, memory: try MemorySize("1G")), fleet)
    // The least share of memory: each node's processors can be had.
    #expect(shape.nodes == 2 && shape.processors == 12 && shape.memoryPerProcessor == 384)
  }

  @Test(arguments: [
    "", "# nothing", "n1", "n1 8", "n1 8 16 a b", "n1 0 16", "n1 8 0", "n1 8 1e9", "n1 8 16 a;b",
    "-x 8 16", "n1 8 16\nn1 8 16", "n$1 8 16", "../x 8 16",
  ]) func whatDescribesNoHostsIsRefused(text: String) {
    #expect(throws: ClusterError.self) { try Fleet(description: text) }
  }

  @Test(arguments: [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
    ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
  ]) func base64IsThatOfRFC4648(text: String, wanted: String) {
    #expect(base64(Array(text.utf8)) == wanted)
  }
}
