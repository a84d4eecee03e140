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
    private static final int FEW = 64;

    private HeadMemory() {}

    /** @param args {@code stock} or {@code retention}, V, tokens */
    public static void main(String[] args) throws IOException, InterruptedException {
        Console.prepare(1);
        // Loads the code, with layers so small that their memory hides nothing.
        side(args[0], FEW, FEW).run();
        OutputHead head = side(args[0], Integer.parseInt(args[1]), Integer.parseInt(args[2]));
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

    private static OutputHead side(String name, int vocabulary, int tokens) {
        OutputHead stock = OutputHead.stock(INPUT_SIZE, vocabulary, tokens);
        return name.equals("stock") ? stock : stock.retention();
    }
}
