package io.github.dl4jretention.samples.benchmark;

import io.github.dl4jretention.samples.console.Console;
import java.io.IOException;

/**
 * Computes an output layer's loss and gradients and prints by how many megabytes the process grew at most beyond the
 * layer's input, labels, parameters and gradients.
 */
final class HeadMemory {

    private static final int INPUT_SIZE = 256;
    private static final int RUNS = 3;

    private HeadMemory() {}

    /** @param args {@code stock} or {@code retention}, V, tokens */
    public static void main(String[] args) throws IOException, InterruptedException {
        Console.prepare(1);
        OutputHead head = OutputHead.stock(INPUT_SIZE, Integer.parseInt(args[1]), Integer.parseInt(args[2]));
        if (!args[0].equals("stock")) {
            head = head.retention();
        }
        head.first().run();
        // What the set-up left is given back, so that it cannot hide what the layer takes.
        System.gc();
        Thread.sleep(1000);
        System.gc();
        ProcessMemory.resetPeak();
        double before = ProcessMemory.resident();
        for (int run = 0; run < RUNS; run++) {
            head.run();
        }
        System.out.println(ProcessMemory.peak() - before);
    }
}
