package io.github.dl4jretention.lm.layers;

import io.github.dl4jretention.internal.Workers;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * An LSTM's passes in FLOAT. Products with the input run over all tokens at once, split by tokens or by gates; the steps
 * in time run in threads that each have their own sequences.
 *
 * <p>A step's product is written as {@code R^T [4 H, H] times h^T [H, sequences]}, the long side first: with few
 * sequences OpenBLAS is more than twice as fast that way round.
 */
final class FloatLstm implements LstmArithmetic {

    private final int inputs;
    private final int units;
    private final Workers workers = Workers.ofMachine();
    private FloatLstmWorker[] steps = new FloatLstmWorker[0];

    FloatLstm(int inputs, int units) {
        this.inputs = inputs;
        this.units = units;
    }

    /** Threads with their own sequences, as many as there is work for. */
    private FloatLstmWorker[] steps(int batch) {
        int parts = Math.min(workers.products(), batch);
        if (steps.length != parts || steps[0].room() < (batch + parts - 1) / parts) {
            steps = new FloatLstmWorker[parts];
            for (int part = 0; part < parts; part++) {
                steps[part] = new FloatLstmWorker(units, (batch + parts - 1) / parts);
            }
        }
        return steps;
    }

    /** A worker's product {@code [rows, sequences]} in the memory, or the same numbers as one row. */
    private FloatRows product(INDArray memory, int from, int rows, int columns) {
        return FloatRows.of(memory, (long) GATES * units * from, rows, columns);
    }

    @Override
    public void forward(
            Kept kept,
            INDArray weights,
            INDArray recurrent,
            INDArray bias,
            @Nullable INDArray first,
            INDArray memory,
            INDArray output,
            INDArray lastCell) {
        int tokens = kept.tokens();
        FloatRows x = FloatRows.of(kept.input(), inputs);
        FloatRows w = FloatRows.of(weights, inputs);
        FloatRows gates = FloatRows.of(kept.gates(), GATES * units);
        int products = Math.min(workers.products(), tokens);
        Workers.run(products, part -> {
            int from = Workers.start(tokens, products, part);
            int to = Workers.start(tokens, products, part + 1);
            FloatRows.product(1, x.rows(from, to), false, w, true, 0, gates.rows(from, to));
        });
        FloatRows r = FloatRows.of(recurrent, units);
        FloatRows b = FloatRows.of(bias, GATES * units);
        FloatRows h = FloatRows.of(output, units);
        FloatRows cells = FloatRows.of(kept.cells(), units);
        FloatRows previous = FloatRows.of(kept.previous(), units);
        FloatRows firstCell = kept.cell() == null ? null : FloatRows.of(kept.cell(), units);
        FloatRows firstOutput = first == null ? null : FloatRows.of(first, units);
        FloatRows last = FloatRows.of(lastCell, units);
        FloatLstmWorker[] parts = steps(kept.batch());
        Workers.run(parts.length, part -> {
            int from = Workers.start(kept.batch(), parts.length, part);
            int to = Workers.start(kept.batch(), parts.length, part + 1);
            FloatRows product = product(memory, from, GATES * units, to - from);
            FloatRows productRow = product(memory, from, 1, GATES * units * (to - from));
            parts[part].startForward(kept, from, to, b, firstOutput, firstCell, previous);
            FloatRows starts = FloatRows.of(kept.previous(), kept.time() * units);
            for (int t = 0; t < kept.time(); t++) {
                boolean hasPast = t > 0 || first != null;
                if (hasPast) {
                    FloatRows.product(1, r, false, starts.part(from, to, t * units, (t + 1) * units), true, 0, product);
                }
                parts[part].forward(t, hasPast ? productRow : null, gates, cells, previous, h);
            }
            parts[part].endForward(last);
        });
    }

    @Override
    public void backward(
            Kept kept,
            INDArray weights,
            INDArray recurrent,
            INDArray memory,
            int from,
            INDArray gradient,
            INDArray inputGradient,
            INDArray weightsGradient,
            INDArray recurrentGradient,
            INDArray biasGradient) {
        FloatRows gates = FloatRows.of(kept.gates(), GATES * units);
        stepsBackward(kept, recurrent, memory, from, gradient, gates);
        float[] bias = new float[GATES * units];
        for (FloatLstmWorker part : steps(kept.batch())) {
            part.addBiasGradient(bias);
        }
        FloatRows.of(biasGradient, GATES * units).put(0, bias);

        FloatRows x = FloatRows.of(kept.input(), inputs);
        FloatRows previous = FloatRows.of(kept.previous(), units);
        FloatRows w = FloatRows.of(weights, inputs);
        FloatRows xGradient = FloatRows.of(inputGradient, inputs);
        FloatRows wGradient = FloatRows.of(weightsGradient, inputs);
        FloatRows rGradient = FloatRows.of(recurrentGradient, units);
        int tokens = kept.tokens();
        int products = Math.min(workers.products(), Math.min(tokens, GATES * units));
        Workers.run(products, part -> {
            int fromToken = Workers.start(tokens, products, part);
            int toToken = Workers.start(tokens, products, part + 1);
            FloatRows.product(
                    1, gates.rows(fromToken, toToken), false, w, false, 0, xGradient.rows(fromToken, toToken));
            int fromGate = Workers.start(GATES * units, products, part);
            int toGate = Workers.start(GATES * units, products, part + 1);
            FloatRows mine = gates.part(0, tokens, fromGate, toGate);
            FloatRows.product(1, mine, true, x, false, 0, wGradient.rows(fromGate, toGate));
            FloatRows.product(1, mine, true, previous, false, 0, rGradient.rows(fromGate, toGate));
        });
    }

    /** Puts gradients of the gates' inputs in the place of the gates. */
    private void stepsBackward(
            Kept kept, INDArray recurrent, INDArray memory, int until, INDArray gradient, FloatRows gates) {
        FloatRows r = FloatRows.of(recurrent, units);
        FloatRows hGradient = FloatRows.of(gradient, units);
        FloatRows cells = FloatRows.of(kept.cells(), units);
        FloatRows firstCell = kept.cell() == null ? null : FloatRows.of(kept.cell(), units);
        FloatLstmWorker[] parts = steps(kept.batch());
        Workers.run(parts.length, part -> {
            int from = Workers.start(kept.batch(), parts.length, part);
            int to = Workers.start(kept.batch(), parts.length, part + 1);
            FloatRows product = product(memory, from, units, to - from);
            FloatRows productRow = product(memory, from, 1, units * (to - from));
            FloatRows steps = FloatRows.of(kept.gates(), kept.time() * GATES * units);
            parts[part].startBackward(kept, from, to);
            for (int t = kept.time() - 1; t >= until; t--) {
                parts[part].backward(t, t < kept.time() - 1 ? productRow : null, hGradient, gates, cells, firstCell);
                if (t > until) {
                    int column = t * GATES * units;
                    FloatRows.product(
                            1, r, true, steps.part(from, to, column, column + GATES * units), true, 0, product);
                }
            }
            parts[part].clear(until, gates);
        });
    }
}
