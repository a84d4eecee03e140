package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** One thread's loops over its own sequences, between the products of {@link FloatLstm}; it sums the gradient of the bias. */
final class FloatLstmWorker {

    private final int units;
    private final float[][] cell;
    private final float[] bias;
    private final float[] biasGradient;
    private final float[] gates;
    private final float[] row;
    private final float[] tanh;
    private final float[] past;

    private LstmArithmetic.@Nullable Kept kept;
    private int from;
    private int count;

    FloatLstmWorker(int units, int room) {
        this.units = units;
        int width = LstmArithmetic.GATES * units;
        cell = new float[room][units];
        bias = new float[width];
        biasGradient = new float[width];
        gates = new float[width];
        row = new float[units];
        tanh = new float[units];
        past = new float[units];
    }

    /** {@return most sequences} */
    int room() {
        return cell.length;
    }

    void startForward(
            LstmArithmetic.Kept kept,
            int from,
            int to,
            FloatRows bias,
            @Nullable FloatRows firstOutput,
            @Nullable FloatRows firstCell,
            @Nullable FloatRows previous) {
        start(kept, from, to);
        bias.get(0, this.bias);
        for (int k = 0; k < count; k++) {
            read(firstCell, from + k, cell[k]);
            if (previous != null) {
                read(firstOutput, from + k, row);
                previous.put((from + k) * kept.time(), row);
            }
        }
    }

    private void start(LstmArithmetic.Kept kept, int from, int to) {
        this.kept = kept;
        this.from = from;
        count = to - from;
    }

    private static void read(@Nullable FloatRows rows, int index, float[] to) {
        if (rows == null) {
            Arrays.fill(to, 0);
        } else {
            rows.get(index, to);
        }
    }

    /**
     * @param gateRows the gates' inputs but for the bias, to be replaced by the gates where there are cells
     * @param cells    null if no backward pass is to come; likewise previous
     */
    void forward(int t, FloatRows gateRows, @Nullable FloatRows cells, @Nullable FloatRows previous, FloatRows output) {
        LstmArithmetic.Kept kept = requireNonNull(this.kept);
        for (int k = 0; k < count; k++) {
            int token = (from + k) * kept.time() + t;
            float mask = (float) kept.mask(token);
            if (mask == 0) {
                Arrays.fill(row, 0);
                Arrays.fill(cell[k], 0);
            } else {
                gateRows.get(token, gates);
                FloatVectors.add(bias, gates, gates.length);
                activate();
                step(cell[k]);
                if (cells != null) {
                    gateRows.put(token, gates);
                    cells.put(token, cell[k]);
                }
                if (mask != 1) {
                    FloatVectors.scale(mask, row, 0, units);
                    FloatVectors.scale(mask, cell[k], 0, units);
                }
            }
            output.put(token, row);
            if (previous != null && t < kept.time() - 1) {
                previous.put(token + 1, row);
            }
        }
    }

    /** Candidates by tanh, gates by sigmoid: {@code sigmoid(z) = (1 + tanh(z / 2)) / 2}, to about 2e-7 in FLOAT. */
    private void activate() {
        for (int j = units; j < gates.length; j++) {
            gates[j] *= 0.5f;
        }
        FloatFunctions.tanh(gates, gates, 0, gates.length);
        for (int j = units; j < gates.length; j++) {
            gates[j] = 0.5f + 0.5f * gates[j];
        }
    }

    /** {@code c = f c + g i, h = o tanh(c)}. */
    private void step(float[] c) {
        for (int j = 0; j < units; j++) {
            c[j] = gates[units + j] * c[j] + gates[3 * units + j] * gates[j];
        }
        FloatFunctions.tanh(c, tanh, 0, units);
        for (int j = 0; j < units; j++) {
            row[j] = gates[2 * units + j] * tanh[j];
        }
    }

    void endForward(FloatRows lastCell) {
        for (int k = 0; k < count; k++) {
            lastCell.put(from + k, cell[k]);
        }
    }

    void startBackward(LstmArithmetic.Kept kept, int from, int to) {
        start(kept, from, to);
        Arrays.fill(biasGradient, 0);
        for (int k = 0; k < count; k++) {
            Arrays.fill(cell[k], 0);
        }
    }

    /**
     * Puts the gradients of the gates' inputs in the place of the gates. Between steps the cell's row
     * holds {@code dL/dc(t)}.
     *
     * @param product {@code [sequences, H]}: the next token's share of {@code dL/dh(t)}; null for 0
     */
    void backward(
            int t,
            @Nullable FloatRows product,
            FloatRows hGradient,
            FloatRows gateRows,
            FloatRows cells,
            @Nullable FloatRows firstCell) {
        LstmArithmetic.Kept kept = requireNonNull(this.kept);
        for (int k = 0; k < count; k++) {
            int token = (from + k) * kept.time() + t;
            float mask = (float) kept.mask(token);
            if (mask == 0) {
                Arrays.fill(gates, 0);
                Arrays.fill(cell[k], 0);
            } else {
                hGradient.get(token, row);
                if (product != null) {
                    product.get(k, past);
                    FloatVectors.add(past, row, units);
                }
                if (mask != 1) {
                    FloatVectors.scale(mask, row, 0, units);
                    FloatVectors.scale(mask, cell[k], 0, units);
                }
                gateRows.get(token, gates);
                cells.get(token, past);
                FloatFunctions.tanh(past, tanh, 0, units);
                pastCell(kept, t, token, cells, firstCell);
                stepBackward(cell[k]);
                FloatVectors.add(gates, biasGradient, gates.length);
            }
            gateRows.put(token, gates);
        }
    }

    private void pastCell(LstmArithmetic.Kept kept, int t, int token, FloatRows cells, @Nullable FloatRows firstCell) {
        if (t == 0) {
            read(firstCell, token / kept.time(), past);
            return;
        }
        float mask = (float) kept.mask(token - 1);
        if (mask == 0) {
            Arrays.fill(past, 0);
        } else {
            cells.get(token - 1, past);
            if (mask != 1) {
                FloatVectors.scale(mask, past, 0, units);
            }
        }
    }

    private void stepBackward(float[] cellGradient) {
        for (int j = 0; j < units; j++) {
            float i = gates[j];
            float f = gates[units + j];
            float o = gates[2 * units + j];
            float g = gates[3 * units + j];
            float dh = row[j];
            float dc = cellGradient[j] + dh * o * (1 - tanh[j] * tanh[j]);
            gates[j] = dc * g * (1 - i * i);
            gates[units + j] = dc * past[j] * f * (1 - f);
            gates[2 * units + j] = dh * tanh[j] * o * (1 - o);
            gates[3 * units + j] = dc * i * g * (1 - g);
            cellGradient[j] = dc * f;
        }
    }

    /** Tokens before a time step have no gradient. */
    void clear(int until, FloatRows gateRows) {
        Arrays.fill(gates, 0);
        for (int k = 0; k < count; k++) {
            for (int t = 0; t < until; t++) {
                gateRows.put((from + k) * requireNonNull(kept).time() + t, gates);
            }
        }
    }

    void addBiasGradient(float[] sum) {
        FloatVectors.add(biasGradient, sum, sum.length);
    }
}
