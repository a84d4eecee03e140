package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import io.github.dl4jretention.internal.Workers;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.params.LSTMParamInitializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * An LSTM's passes in FLOAT. Products with the input run over all tokens at once, split by tokens or by gates; the steps
 * in time run in threads that each have their own sequences, with products of {@link FloatRecurrent}.
 */
final class FloatLstm implements LstmArithmetic {

    private final int inputs;
    private final int units;
    private final Workers workers = Workers.ofMachine();
    private final @Nullable FloatLowRank inputAdapter;
    private final @Nullable FloatLowRank stateAdapter;
    private FloatLstmWorker[] steps = new FloatLstmWorker[0];
    private FloatRecurrent[] recurrents = new FloatRecurrent[0];

    FloatLstm(int inputs, int units, List<LowRankWeight> adapters) {
        this.inputs = inputs;
        this.units = units;
        FloatLowRank ofInput = null;
        FloatLowRank ofState = null;
        for (LowRankWeight adapter : adapters) {
            if (adapter.weight().equals(LSTMParamInitializer.INPUT_WEIGHT_KEY)) {
                ofInput = new FloatLowRank(adapter, 0);
            } else {
                ofState = new FloatLowRank(adapter, 1);
            }
        }
        inputAdapter = ofInput;
        stateAdapter = ofState;
    }

    @Override
    public long lowRankMemory(int batch, int tokens) {
        long numbers = 0;
        for (FloatLowRank adapter : new FloatLowRank[] {inputAdapter, stateAdapter}) {
            if (adapter != null) {
                numbers += (long) tokens * (2 * adapter.rank() + adapter.inputs()) + (long) batch * adapter.rank();
            }
        }
        return numbers;
    }

    /** Working memory of an adapter's products. */
    private record Low(FloatRows low, FloatRows gradient, FloatRows dropped, FloatRows step) {

        static Low of(FloatLowRank adapter, FloatArena arena, int batch, int tokens) {
            return new Low(
                    arena.take(tokens, adapter.rank()),
                    arena.take(tokens, adapter.rank()),
                    arena.take(tokens, adapter.inputs()),
                    arena.take(batch, adapter.rank()));
        }
    }

    /** Threads with their own sequences, as many as there is work for. */
    private FloatLstmWorker[] steps(int batch) {
        int parts = Math.min(workers.products(), batch);
        if (steps.length != parts || steps[0].room() < (batch + parts - 1) / parts) {
            steps = new FloatLstmWorker[parts];
            recurrents = new FloatRecurrent[parts];
            int room = (batch + parts - 1) / parts;
            for (int part = 0; part < parts; part++) {
                steps[part] = new FloatLstmWorker(units, room);
                recurrents[part] = new FloatRecurrent(units, room);
            }
        }
        return steps;
    }

    @Override
    public long backwardMemory(int batch) {
        boolean inPlace = isInPlace(steps(batch), batch);
        return (long) GATES * units * (batch + (inPlace ? 0 : units));
    }

    private boolean isInPlace(FloatLstmWorker[] parts, int batch) {
        return recurrents[0].isInPlace((batch + parts.length - 1) / parts.length);
    }

    /** Numbers of a thread with its own sequences. */
    private FloatRows memory(INDArray memory, int from, int to) {
        return FloatRows.of(memory, (long) GATES * units * from, 1, GATES * units * (to - from));
    }

    @Override
    public void forward(
            Kept kept,
            INDArray weights,
            INDArray recurrent,
            INDArray bias,
            @Nullable INDArray first,
            INDArray memory,
            @Nullable INDArray low,
            INDArray output,
            INDArray lastCell) {
        int tokens = kept.tokens();
        FloatRows x = FloatRows.of(kept.input(), inputs);
        FloatRows w = FloatRows.of(weights, inputs);
        FloatRows gates = FloatRows.of(kept.gates(), GATES * units);
        int products = Math.min(workers.products(), tokens);
        Workers.split(
                tokens,
                products,
                (part, from, to) -> FloatRows.product(1, x.rows(from, to), false, w, true, 0, gates.rows(from, to)));
        FloatArena arena = low == null ? null : new FloatArena(low);
        if (inputAdapter != null && arena != null) {
            Low ofInput = Low.of(inputAdapter, arena, kept.batch(), tokens);
            inputAdapter.forward(x, gates, ofInput.low, ofInput.dropped, kept.seed(), 0, tokens);
        }
        Low ofState = stateAdapter == null || arena == null ? null : Low.of(stateAdapter, arena, kept.batch(), tokens);
        FloatRows r = FloatRows.of(recurrent, units);
        FloatRows b = FloatRows.of(bias, GATES * units);
        FloatRows h = FloatRows.of(output, units);
        FloatRows cells = kept.cells() == null ? null : FloatRows.of(kept.cells(), units);
        FloatRows previous = kept.previous() == null ? null : FloatRows.of(kept.previous(), units);
        FloatRows firstCell = kept.cell() == null ? null : FloatRows.of(kept.cell(), units);
        FloatRows firstOutput = first == null ? null : FloatRows.of(first, units);
        FloatRows last = FloatRows.of(lastCell, units);
        FloatLstmWorker[] parts = steps(kept.batch());
        Workers.split(kept.batch(), parts.length, (part, from, to) -> {
            FloatRows mine = memory(memory, from, to);
            parts[part].startForward(kept, from, to, b, firstOutput, firstCell, previous);
            FloatRows outputs = FloatRows.of(output, kept.time() * units);
            FloatRows steps = FloatRows.of(kept.gates(), kept.time() * GATES * units);
            for (int t = 0; t < kept.time(); t++) {
                FloatRows past = t > 0
                        ? outputs.part(from, to, (t - 1) * units, t * units)
                        : firstOutput == null ? null : firstOutput.rows(from, to);
                if (past != null) {
                    FloatRows now = step(steps, from, to, t);
                    recurrents[part].gates(r, past, now, mine);
                    if (stateAdapter != null && ofState != null) {
                        FloatRows lowNow = ofState.step.rows(from, to);
                        stateAdapter.forward(past, now, lowNow, ofState.dropped, null, 0, to - from);
                    }
                }
                parts[part].forward(t, gates, cells, previous, h);
            }
            parts[part].endForward(last);
        });
    }

    /** The gates of some sequences at a time step. */
    private FloatRows step(FloatRows steps, int from, int to, int t) {
        return steps.part(from, to, t * GATES * units, (t + 1) * GATES * units);
    }

    @Override
    public void backward(
            Kept kept,
            INDArray weights,
            INDArray recurrent,
            INDArray memory,
            @Nullable INDArray low,
            int from,
            INDArray gradient,
            INDArray inputGradient,
            @Nullable INDArray weightsGradient,
            @Nullable INDArray recurrentGradient,
            @Nullable INDArray biasGradient,
            Map<String, INDArray> ofAdapters) {
        FloatRows gates = FloatRows.of(kept.gates(), GATES * units);
        FloatArena arena = low == null ? null : new FloatArena(low);
        Low ofInput =
                inputAdapter == null || arena == null ? null : Low.of(inputAdapter, arena, kept.batch(), kept.tokens());
        Low ofState =
                stateAdapter == null || arena == null ? null : Low.of(stateAdapter, arena, kept.batch(), kept.tokens());
        stepsBackward(kept, recurrent, memory, ofState, from, gradient, gates);
        if (biasGradient != null) {
            float[] bias = new float[GATES * units];
            for (FloatLstmWorker part : steps(kept.batch())) {
                part.addBiasGradient(bias);
            }
            FloatRows.of(biasGradient, GATES * units).put(0, bias);
        }

        FloatRows x = FloatRows.of(kept.input(), inputs);
        FloatRows previous = FloatRows.of(requireNonNull(kept.previous()), units);
        FloatRows w = FloatRows.of(weights, inputs);
        FloatRows xGradient = FloatRows.of(inputGradient, inputs);
        FloatRows wGradient = weightsGradient == null ? null : FloatRows.of(weightsGradient, inputs);
        FloatRows rGradient = recurrentGradient == null ? null : FloatRows.of(recurrentGradient, units);
        int tokens = kept.tokens();
        int products = Math.min(workers.products(), Math.min(tokens, GATES * units));
        Workers.split(tokens, products, (part, fromToken, toToken) -> {
            FloatRows.product(
                    1, gates.rows(fromToken, toToken), false, w, false, 0, xGradient.rows(fromToken, toToken));
            int fromGate = Workers.start(GATES * units, products, part);
            int toGate = Workers.start(GATES * units, products, part + 1);
            FloatRows mine = gates.part(0, tokens, fromGate, toGate);
            if (wGradient != null) {
                FloatRows.product(1, mine, true, x, false, 0, wGradient.rows(fromGate, toGate));
            }
            if (rGradient != null) {
                FloatRows.product(1, mine, true, previous, false, 0, rGradient.rows(fromGate, toGate));
            }
        });
        if (inputAdapter != null && ofInput != null) {
            inputAdapter.backward(gates, xGradient, ofInput.gradient, ofInput.dropped, kept.seed(), 0, tokens);
            inputAdapter.gradients(x, gates, ofInput.gradient, ofInput.low, ofInput.dropped, kept.seed(), ofAdapters);
        }
        if (stateAdapter != null && ofState != null) {
            stateAdapter.lowGradient(gates, ofState.gradient, 0, tokens);
            stateAdapter.gradients(previous, gates, ofState.gradient, ofState.low, ofState.dropped, null, ofAdapters);
        }
    }

    /** Puts gradients of the gates' inputs in the place of the gates. */
    private void stepsBackward(
            Kept kept,
            INDArray recurrent,
            INDArray memory,
            @Nullable Low ofState,
            int until,
            INDArray gradient,
            FloatRows gates) {
        FloatRows r = FloatRows.of(recurrent, units);
        FloatRows hGradient = FloatRows.of(gradient, units);
        FloatRows cells = FloatRows.of(requireNonNull(kept.cells()), units);
        FloatRows firstCell = kept.cell() == null ? null : FloatRows.of(kept.cell(), units);
        FloatLstmWorker[] parts = steps(kept.batch());
        FloatRows transposed = isInPlace(parts, kept.batch()) ? null : transposed(r, memory, kept.batch());
        Workers.split(kept.batch(), parts.length, (part, from, to) -> {
            FloatRows mine = memory(memory, from, to);
            FloatRows product = mine.reshape(0, to - from, units);
            FloatRows rest = mine.reshape((long) units * (to - from), 1, units * (to - from));
            FloatRows steps = FloatRows.of(kept.gates(), kept.time() * GATES * units);
            parts[part].startBackward(kept, from, to);
            for (int t = kept.time() - 1; t >= until; t--) {
                parts[part].backward(t, t < kept.time() - 1 ? product : null, hGradient, gates, cells, firstCell);
                if (t > until) {
                    FloatRows now = step(steps, from, to, t);
                    recurrents[part].outputs(r, transposed, now, product, rest);
                    if (stateAdapter != null && ofState != null) {
                        FloatRows lowNow = ofState.step.rows(from, to);
                        stateAdapter.backward(now, product, lowNow, ofState.dropped, null, 0, to - from);
                    }
                }
            }
            parts[part].clear(until, gates);
        });
    }

    private FloatRows transposed(FloatRows r, INDArray memory, int batch) {
        FloatRows transposed = FloatRows.of(memory, (long) GATES * units * batch, units, GATES * units);
        Workers.split(
                units,
                Math.min(workers.products(), units),
                (part, from, to) -> FloatRecurrent.transpose(r, transposed, from, to));
        return transposed;
    }
}
