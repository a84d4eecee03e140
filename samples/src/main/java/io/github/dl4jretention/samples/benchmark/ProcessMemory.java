package io.github.dl4jretention.samples.benchmark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Resident memory of this process as Linux counts it, in megabytes. */
public final class ProcessMemory {

    private static final Path STATUS = Path.of("/proc/self/status");
    private static final Path CLEAR = Path.of("/proc/self/clear_refs");
    private static final String RESET_PEAK = "5";
    private static final double KILOBYTES = 1024;

    private ProcessMemory() {}

    /** What is resident now. */
    public static double resident() throws IOException {
        return read("VmRSS:");
    }

    /** The most that was ever resident, or since {@link #resetPeak}. */
    public static double peak() throws IOException {
        return read("VmHWM:");
    }

    /** Sets the peak to what is resident now. */
    public static void resetPeak() throws IOException {
        Files.writeString(CLEAR, RESET_PEAK);
    }

    private static double read(String field) throws IOException {
        for (String line : Files.readAllLines(STATUS)) {
            if (line.startsWith(field)) {
                return Long.parseLong(
                                line.substring(field.length()).replace("kB", "").trim())
                        / KILOBYTES;
            }
        }
        throw new IOException(STATUS + ": expected a field " + field);
    }
}
