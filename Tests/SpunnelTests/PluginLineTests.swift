// Which line of plugstack.conf is the plugin's, and which plugstack.conf is the site's: as Slurm reads them.

import Testing

@testable import SpunnelSlurm
@testable import SpunnelTunnel

@Suite struct PluginLineTests {
  private let scratch: Scratch

  init() throws { scratch = try Scratch() }

  private func find() throws -> String? {
    try PluginLine.find(slurmConfiguration: scratch.path + "/slurm.conf")
      .map { $0.arguments.joined(separator: " ") }
  }

  @Test func withoutFilesThereIsNone() throws {
    #expect(try find() == nil)
    try scratch.write("ClusterName=c\n", to: "slurm.conf")
    #expect(try find() == nil)
  }

  // MARK: plugstack.conf

  @Test(arguments: [
    ("optional /x/spunnel.so", ""),
    ("required spunnel.so timeout=20 quiet\n", "timeout=20 quiet"),
    (" \toptional\t/x/spunnel.so \t timeout=20 ", "timeout=20"),
    ("optional /x/other.so a=b\noptional /x/spunnel.so quiet\nrequired /y/spunnel.so", "quiet"),
    ("optional spunnel.so timeout=20   # tunnels\n", "timeout=20"),
    ("optional spunnel.so timeout=20# tunnels\n", "timeout=20"),
    ("optional spunnel.so ssh_args=-v\\#0\n", "ssh_args=-v\\"),
    ("optional spunnel.so ssh_args=\"#\"\n", "ssh_args=\""),
    ("#optional spunnel.so\n  # optional spunnel.so\noptional # spunnel.so\n", nil),
    ("#\u{301} optional spunnel.so\n", nil),
    ("Optional spunnel.so\nload spunnel.so\nspunnel.so quiet\n", nil),
    ("optional spunnel.so.old\n", nil),
  ])
  func isTheFirstThatSlurmLoads(_ text: String, _ arguments: String?) throws {
    try scratch.write(text, to: "plugstack.conf")
    #expect(try find() == arguments)
  }

  @Test func whatSrunRefusesIsRefused() throws {
    try scratch.write("optional spunnel.so tiemout=20\n", to: "plugstack.conf")
    #expect(throws: SettingsError.unknown("tiemout=20")) { try find() }
  }

  @Test func includesAreOfTheFolderOfTheFileThatIncludes() throws {
    try scratch.makeDirectory("d")
    try scratch.makeDirectory("d/more")
    try scratch.write("include d/*.conf\n", to: "plugstack.conf")
    try scratch.write("include more/b.conf # and no other\n", to: "d/a.conf")
    try scratch.write("optional spunnel.so quiet\n", to: "d/more/b.conf")
    #expect(try find() == "quiet")
    try scratch.write("include \(scratch.path)/d/more/*\n", to: "plugstack.conf")
    #expect(try find() == "quiet")
  }

  @Test func includesThatLeadNowhereOrBackEnd() throws {
    try scratch.write(
      "include none.conf\ninclude\ninclude plugstack.conf\noptional spunnel.so\n",
      to: "plugstack.conf")
    #expect(try find() == "")
  }

  // MARK: slurm.conf

  @Test(arguments: [
    "PlugStackConfig=@/other.conf", "plugstackconfig = @/other.conf # the site's\r",
    "  PLUGSTACKCONFIG=\"@/other.conf\"\n", "PlugStackConfig=/none\nPlugStackConfig=@/other.conf",
    "NodeName=n[1-2] CPUs=8 # PlugStackConfig=/none\nPlugStack\\\nConfig=@/\\  \nother.conf\n",
    "# ends here \\\nPlugStackConfig=@/oth\\er.conf", "Include more.conf", "INCLUDE\t@/more.conf x",
    "ClusterName=More\ninclude %c.conf\n", "PlugStackConfig=/none\nInclude more.conf\n",
  ])
  func namesAnother(_ text: String) throws {
    try scratch.write("optional spunnel.so timeout=1\n", to: "plugstack.conf")
    try scratch.write("optional spunnel.so timeout=2\n", to: "other.conf")
    try scratch.write("PlugStackConfig=\(scratch.path)/other.conf\n", to: "more.conf")
    try scratch.write(
      text.split(separator: "@", omittingEmptySubsequences: false).joined(separator: scratch.path),
      to: "slurm.conf")
    #expect(try find() == "timeout=2")
  }

  @Test(arguments: [
    "#PlugStackConfig=/none", "x=\\# \\\nPlugStackConfig=/none", "SlurmctldPlugStackConfig=/none",
    "PlugStackConfig /none", "x=y PlugStackConfig=/none", " Include more.conf", "Includemore.conf",
    "Include", "Include slurm.conf", "=/none", "", "\\",
  ])
  func namesNone(_ text: String) throws {
    try scratch.write("optional spunnel.so timeout=1\n", to: "plugstack.conf")
    try scratch.write("PlugStackConfig=/none\n", to: "more.conf")
    try scratch.write(text, to: "slurm.conf")
    #expect(try find() == "timeout=1")
  }

  @Test(arguments: ["PlugStackConfig=/none", "PlugStackConfig=\"\"", "PlugStackConfig=other.conf"])
  func namesOneThatIsNotRead(_ text: String) throws {
    for name in ["plugstack.conf", "other.conf"] {
      try scratch.write("optional spunnel.so timeout=1\n", to: name)
    }
    try scratch.write(text, to: "slurm.conf")
    #expect(try find() == nil)
  }
}
