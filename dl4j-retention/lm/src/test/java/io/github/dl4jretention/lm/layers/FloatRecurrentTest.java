package io.github.dl4jretention.lm.layers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.INDArrayIndex;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** Both ways of a recurrent product against ND4J's, whatever the processor prefers. */
class FloatRecurrentTest {

    private static final double TOLERANCE = 1e-4;

    @ParameterizedTest
    @CsvSource({"1, 7", "2, 1", "3, 33", "8, 256", "16, 40", "17, 24", "16, 3000"})
    void products_are_the_same_in_blocks_and_with_the_long_side_first(int sequences, int units) {
        int width = 4 * units;
        Nd4j.getRandom().setSeed(12345);
        // As layers have it, the steps of a sequence side by side: those of the middle one of three count.
        INDArray r = Nd4j.rand(DataType.FLOAT, width, units).subi(0.5).divi(Math.sqrt(units));
        INDArray h = Nd4j.rand(DataType.FLOAT, sequences, 3 * units).subi(0.5);
        INDArray z = Nd4j.rand(DataType.FLOAT, sequences, 3 * width).subi(0.5);
        INDArray step = columns(h, units).mmul(r.transpose()).addi(columns(z, width));
        INDArray back = columns(z, width).mmul(r);
        for (boolean small : new boolean[] {true, false}) {
            FloatRecurrent recurrent = new FloatRecurrent(units, sequences, small);
            FloatRows rows = FloatRows.of(r, units);
            FloatRows memory = FloatRows.of(Nd4j.create(DataType.FLOAT, width * sequences), width * sequences);
            INDArray gates = z.dup();
            recurrent.gates(
                    rows,
                    FloatRows.of(h, 3 * units).part(0, sequences, units, 2 * units),
                    FloatRows.of(gates, 3 * width).part(0, sequences, width, 2 * width),
                    memory);
            assertNear(step, columns(gates, width));
            gates.get(all(), interval(width)).assign(columns(z, width));
            assertEquals(z, gates, "other time steps");

            INDArray transposed = null;
            if (!recurrent.isInPlace(sequences)) {
                transposed = Nd4j.create(DataType.FLOAT, units, width);
                FloatRecurrent.transpose(rows, FloatRows.of(transposed, width), 0, units / 2);
                FloatRecurrent.transpose(rows, FloatRows.of(transposed, width), units / 2, units);
                assertEquals(r.transpose().dup('c'), transposed);
            }
            INDArray output = Nd4j.create(DataType.FLOAT, sequences, units).assign(Double.NaN);
            recurrent.outputs(
                    rows,
                    transposed == null ? null : FloatRows.of(transposed, width),
                    FloatRows.of(z, 3 * width).part(0, sequences, width, 2 * width),
                    FloatRows.of(output, units),
                    memory);
            assertNear(back, output);
        }
    }

    @ParameterizedTest
    @CsvSource({"8, 256, true", "16, 256, true", "17, 256, false", "16, 5000, false", "1, 5000, true"})
    void a_few_sequences_of_few_units_need_no_other_layout(int sequences, int units, boolean inPlace) {
        assertEquals(inPlace, new FloatRecurrent(units, sequences, true).isInPlace(sequences));
        assertEquals(sequences == 1, new FloatRecurrent(units, sequences, false).isInPlace(sequences));
    }

    private static INDArrayIndex all() {
        return NDArrayIndex.all();
    }

    private static INDArrayIndex interval(int width) {
        return NDArrayIndex.interval(width, 2 * width);
    }

    private static INDArray columns(INDArray array, int width) {
        return array.get(all(), interval(width)).dup('c');
    }

    private static void assertNear(INDArray expected, INDArray actual) {
        double distance = expected.sub(actual).norm2Number().doubleValue();
        assertTrue(distance <= TOLERANCE * expected.norm2Number().doubleValue(), () -> "distance " + distance);
    }
}
