package io.github.dl4jretention.samples.benchmark;

import java.util.List;
import jdk.jfr.consumer.RecordedFrame;

/** What a stack of a training step does, by its innermost frames. */
public enum StepWork {
    /** A call of OpenBLAS. */
    PRODUCTS("products"),
    /** Native memory is taken, given back or filled with zeros, or arrays are made. */
    MEMORY("memory"),
    /** Another operation of ND4J's native library; SameDiff's matrix products are among them. */
    NATIVE("native"),
    /** Java code. */
    JAVA("Java");

    private static final List<String> MEMORY_CALLS =
            List.of("malloc", "alloc", "dealloc", "memset", "createData", "deallocat", "createBuffer");

    private final String label;

    StepWork(String label) {
        this.label = label;
    }

    /** What it is called in tables. */
    public String label() {
        return label;
    }

    /** @param stack innermost frame first */
    public static StepWork of(List<RecordedFrame> stack) {
        String innermost = stack.isEmpty() ? "" : StepPart.name(stack.get(0));
        String method = innermost.substring(innermost.lastIndexOf('.') + 1);
        if (innermost.contains("openblas")) {
            return PRODUCTS;
        }
        if (MEMORY_CALLS.stream().anyMatch(method::contains)) {
            return MEMORY;
        }
        return innermost.contains("Nd4jCpu") || innermost.contains("javacpp") ? NATIVE : JAVA;
    }
}
