// The command lines of ssh into a job: ssh's own words, srun's, and what a user writes into ssh_config.

import SpunnelSystem

package enum JobSSH {
  /// What stands behind a job's number in a host's name, as in 12.job.
  package static let suffix = ".job"
  /// Whether a path is only letters, digits and `/._+-`, so that no shell and no ssh takes it for something else.
  package static func isPlain(_ path: String) -> Bool {
    path.hasPrefix("/")
      && path.utf8.allSatisfy { byte in
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        default: "/._+-".utf8.contains(byte)
        }
      }
  }

  /// The job in a host's name: 12 of 12.job.
  package static func job(of host: String) -> String {
    host.hasSuffix(suffix) ? String(host.dropLast(suffix.count)) : host
  }

  /// The words of ssh.
  ///
  /// - Parameters:
  ///   - options: ssh's own, as they were typed
  ///   - command: what runs in the job, empty for a shell
  ///   - proxy: the command that leads into the job, made of words that no shell takes for something else
  package static func ssh(
    job: String, options: [ByteString], command: [ByteString], proxy: String, keys: JobKeys
  ) -> [ByteString] {
    let settings = [
      "ProxyCommand=\(proxy)", "HostKeyAlias=\(JobKeys.alias)", "StrictHostKeyChecking=yes",
      "UserKnownHostsFile=\(keys.knownHosts)", "GlobalKnownHostsFile=/dev/null",
      "CheckHostIP=no", "UpdateHostKeys=no", "IdentityFile=\(keys.identity)", "IdentitiesOnly=yes",
      "IdentityAgent=none", "PreferredAuthentications=publickey", "ServerAliveInterval=15",
      "ServerAliveCountMax=4", "Ciphers=^aes128-gcm@openssh.com",
    ]
    // No configuration is read: it is for hosts that people log in to. ssh takes the first value that it finds.
    return ["ssh", "-F", "none"] + options
      + settings.flatMap { ["-o", ByteString($0)] }
      + ["--", ByteString(job + suffix)] + command
  }

  /// The words of srun that start an sshd in a job and lead to it.
  ///
  /// Without `--gres=none`: what is typed in the job may use the job's devices, which `--overlap` shares from
  /// Slurm 22.05 on.
  package static func srun(job: String, _ programs: SessionPrograms) -> [String] {
    SessionPrograms.step(job: job, exports: [hostKey, clientKey, enter]).filter {
      $0 != "--gres=none"
    }
      + ["--cpu-bind=none", "--unbuffered", programs.folder + "/spunnel-sshd"]
  }

  /// What srun says as well when nothing is wrong.
  package static func isChatter(_ line: some StringProtocol) -> Bool {
    line.hasPrefix("srun: cluster configuration lacks support for cpu binding")
  }

  /// What spunnel-sshd finds in its environment (SpunnelNode/spunnel-sshd.c).
  package static let hostKey = "SPUNNEL_HOST_KEY"
  package static let clientKey = "SPUNNEL_CLIENT_KEY"
  package static let enter = "SPUNNEL_ENTER"

  package static func environment(
    _ keys: JobKeys, authorized: String, _ programs: SessionPrograms
  ) throws(JobKeysError) -> [ByteString] {
    [
      "\(hostKey)=\(try keys.hostKey())",
      "\(clientKey)=\(try keys.clientKeys(authorized: authorized).joined(separator: "\n"))",
      "\(enter)=\(programs.holder)",
    ].map { ByteString($0) }
  }

  /// What `~/.ssh/config` of this host and of a laptop gets.
  package static func configuration(
    command: String, user: String, host: String, keys: JobKeys
  ) throws(JobKeysError) -> String {
    """
    # On this host, in ~/.ssh/config:
    Host *.job
        ProxyCommand \(shellWord(command)) proxy %n
        HostKeyAlias \(JobKeys.alias)
        UserKnownHostsFile \(keys.knownHosts)
        IdentityFile \(keys.identity)

    # On your own computer, in ~/.ssh/config there; the key by which you log in to \(host) leads into jobs:
    #Host *.job
    #    ProxyCommand ssh \(shellWord("\(user)@\(host)")) \(shellWord(command)) proxy %n
    #    User \(user)
    #    HostKeyAlias \(JobKeys.alias)
    #    KnownHostsCommand /bin/echo \(JobKeys.alias) \(try keys.publicHostKey())
    """
  }
}
