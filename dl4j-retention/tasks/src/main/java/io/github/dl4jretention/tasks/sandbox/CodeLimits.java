package io.github.dl4jretention.tasks.sandbox;

/**
 * What a program may use.
 *
 * @param seconds   from its start to its end; the processor time of each process is limited too
 * @param memory    bytes of addresses of each process
 * @param files     bytes of each file, and of all files together where the folder is in memory
 * @param processes processes and threads; where programs aren't isolated, of all programs of the same user together
 */
public record CodeLimits(int seconds, long memory, long files, int processes) {

    /** 5 seconds, 1 GiB, 16 MiB, 16 processes. */
    public static final CodeLimits DEFAULT = new CodeLimits(5, 1L << 30, 1L << 24, 16);

    /**
     * Checks the limits.
     *
     * @param seconds   at least 1
     * @param memory    at least 64 MiB, which an interpreter needs
     * @param files     at least 64 KiB
     * @param processes at least 1
     */
    public CodeLimits {
        require(seconds >= 1, "seconds", 1, seconds);
        require(memory >= 1 << 26, "memory", 1 << 26, memory);
        require(files >= 1 << 16, "files", 1 << 16, files);
        require(processes >= 1, "processes", 1, processes);
    }

    private static void require(boolean fits, String name, long least, long got) {
        if (!fits) {
            throw new IllegalArgumentException(name + ": expected a number of at least " + least + ", got " + got);
        }
    }
}
