package io.github.dl4jretention.internal;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * Arrays for a SameDiff's placeholders, cast to the placeholders' types where they differ. DL4J M2.1 casts too, but then
 * closes the caller's array instead of its own copy. Closing this frees the casts; the caller's arrays stay.
 */
public final class PlaceholderArrays implements AutoCloseable {

    private final SameDiff sd;
    private final Map<String, INDArray> arrays = new HashMap<>();
    private final List<INDArray> casts = new ArrayList<>();

    /** @param sd whose placeholders get the arrays */
    public PlaceholderArrays(SameDiff sd) {
        this.sd = sd;
    }

    /**
     * Adds an array.
     *
     * @param name  of the placeholder
     * @param array stays the caller's
     * @return the array, or its cast
     * @throws IllegalArgumentException if the placeholder's type can't hold the numbers: fractions, NaN or infinity for
     *     an integer type, or whole numbers that lose digits
     */
    public INDArray put(String name, INDArray array) {
        DataType type = sd.getVariable(name).dataType();
        INDArray fitting = array;
        if (array.dataType() != type) {
            if (type.isIntType() && array.dataType().isFPType()) {
                requireExact(name, array, type);
            }
            fitting = array.castTo(type);
            casts.add(fitting);
            if (type.isIntType() || array.dataType().isIntType()) {
                requireSame(name, array, fitting);
            }
        }
        arrays.put(name, fitting);
        return fitting;
    }

    /** Such numbers come back as they are, but may have been others before they were put into the array. */
    private static void requireExact(String name, INDArray array, DataType type) {
        double largest = array.amaxNumber().doubleValue();
        long first = WholeNumbers.firstInexact(array.dataType());
        if (largest >= first) {
            throw new IllegalArgumentException(name + ": expected whole numbers below " + first + ", which "
                    + array.dataType() + " holds exactly, got " + (long) largest + " for a placeholder of " + type
                    + "; give them as INT32");
        }
    }

    private static void requireSame(String name, INDArray array, INDArray cast) {
        try (INDArray back = cast.castTo(array.dataType());
                INDArray differs = back.neq(array)) {
            if (differs.any()) {
                throw new IllegalArgumentException(name + ": expected numbers that the placeholder's type "
                        + cast.dataType() + " holds exactly, got others in an array of " + array.dataType());
            }
        }
    }

    /** {@return the arrays by their placeholders' names, as SameDiff takes them} */
    public Map<String, INDArray> map() {
        return arrays;
    }

    @Override
    public void close() {
        casts.forEach(INDArray::close);
        casts.clear();
    }
}
