package pod

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// refusedCalls need a capability, or are open to nobody, under the runtimes' default profile.
var refusedCalls = []string{
	"acct", "add_key", "bpf", "chroot", "clock_adjtime", "clock_settime", "delete_module", "fanotify_init",
	"finit_module", "fsconfig", "fsmount", "fsopen", "fspick", "init_module", "io_uring_enter",
	"io_uring_register", "io_uring_setup", "ioperm", "iopl", "kexec_file_load", "kexec_load", "keyctl",
	"lookup_dcookie", "mbind", "mount", "mount_setattr", "move_mount", "move_pages", "open_by_handle_at",
	"open_tree", "perf_event_open", "pivot_root", "quotactl", "quotactl_fd", "reboot", "request_key",
	"set_mempolicy", "setdomainname", "sethostname", "setns", "settimeofday", "swapoff", "swapon", "syslog",
	"umount2", "unshare", "userfaultfd", "vhangup",
}

// defaultSeccomp refuses what the runtimes' own default profile refuses to a container without
// capabilities on a current kernel. Theirs lists what is allowed; this lists what is not, so it is
// less strict about system calls that nobody has heard of.
func defaultSeccomp() *specs.LinuxSeccomp {
	// Programs fall back to another call when one does not exist, but take "not permitted" as final.
	missing, refused := uint(unix.ENOSYS), uint(unix.EPERM)
	syscalls := []specs.LinuxSyscall{
		{Names: []string{"clone3"}, Action: specs.ActErrno, ErrnoRet: &missing},
		{Names: refusedCalls, Action: specs.ActErrno, ErrnoRet: &refused},
	}
	for _, flag := range []uint64{
		unix.CLONE_NEWCGROUP, unix.CLONE_NEWIPC, unix.CLONE_NEWNET, unix.CLONE_NEWNS,
		unix.CLONE_NEWPID, unix.CLONE_NEWUSER, unix.CLONE_NEWUTS,
	} {
		syscalls = append(syscalls, specs.LinuxSyscall{
			Names:    []string{"clone"},
			Action:   specs.ActErrno,
			ErrnoRet: &refused,
			Args:     []specs.LinuxSeccompArg{{Index: 0, Value: flag, ValueTwo: flag, Op: specs.OpMaskedEqual}},
		})
	}
	return &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32, specs.ArchAARCH64, specs.ArchARM},
		Syscalls:      syscalls,
	}
}
