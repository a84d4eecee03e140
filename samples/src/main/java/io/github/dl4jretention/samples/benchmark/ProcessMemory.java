package io.github.dl4jretention.samples.benchmark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Memory of this process as Linux counts it. */
public final class ProcessMemory {

    private static final Path STATUS = Path.of("/proc/self/status");
    private static final String PEAK = "VmHWM:";
    private static final String ARRAYS = "RssAnon:";
    private static final String RESIDENT = "VmRSS:";

    private ProcessMemory() {}

    /** {@return the most that was ever resident, in megabytes} */
    public static double peak() throws IOException {
        return megabytes(PEAK);
    }

    /** {@return what is resident and no file's, in megabytes: the heap, arrays, the JVM itself} */
    public static double ofArrays() throws IOException {
        return megabytes(ARRAYS);
    }

    /** {@return what is resident, in megabytes} */
    public static double resident() throws IOException {
        return megabytes(RESIDENT);
    }

    private static double megabytes(String field) throws IOException {
        for (String line : Files.readAllLines(STATUS)) {
            if (line.startsWith(field)) {
                return Long.parseLong(
                                line.substring(field.length()).replace("kB", "").trim())
                        / 1024.0;
            }
        }
        throw new IOException(STATUS + ": expected a field " + field);
    }
}
