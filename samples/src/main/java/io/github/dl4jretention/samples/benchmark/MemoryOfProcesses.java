package io.github.dl4jretention.samples.benchmark;

import io.github.dl4jretention.samples.model.ModelKind;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * Measures sides in processes of their own and prints a line for each, with its ratio to the first.
 *
 * @param heap each process's {@code -Xmx}
 * @param runs processes of each side
 */
public record MemoryOfProcesses(String heap, int runs) {

    /**
     * Peak memory of whole trainings.
     *
     * @param sizes V, batch, time, steps and the folder of the cache
     */
    public void steps(ModelKind model, List<TrainingSide> sides, List<String> sizes)
            throws IOException, InterruptedException {
        double first = Double.NaN;
        for (TrainingSide side : sides) {
            List<String> arguments = new ArrayList<>(List.of(model.name(), side.name()));
            arguments.addAll(sizes);
            if (side == TrainingSide.CACHED) {
                // The first process writes the cache and has a teacher for that.
                MeasuredProcess.run(StepMemory.class, heap, arguments);
            }
            first = print(model.label(), side.label(), first, StepMemory.class, arguments);
        }
    }

    /** Peak memory of output layers beyond their inputs, parameters and outputs. */
    public void heads(int vocabulary, int tokens) throws IOException, InterruptedException {
        double first = Double.NaN;
        for (String side : List.of("stock", "retention")) {
            first = print(
                    "head, V = " + vocabulary,
                    side,
                    first,
                    HeadMemory.class,
                    List.of(side, Integer.toString(vocabulary), Integer.toString(tokens)));
        }
    }

    private double print(String what, String side, double first, Class<?> program, List<String> arguments)
            throws IOException, InterruptedException {
        double[] megabytes = new double[runs];
        for (int run = 0; run < runs; run++) {
            megabytes[run] = MeasuredProcess.run(program, heap, arguments);
        }
        Quartiles measured = Quartiles.of(megabytes);
        double reference = Double.isNaN(first) ? measured.median() : first;
        System.out.printf(
                "%-22s %-10s %9.1f %9.1f %9.1f %6.2f%n",
                what, side, measured.median(), measured.lower(), measured.upper(), measured.median() / reference);
        return reference;
    }
}
