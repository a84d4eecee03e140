package io.github.dl4jretention.merge;

import io.github.dl4jretention.internal.SameDiffText;
import java.io.IOException;
import java.util.Iterator;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** SameDiff models in memory, by their variables. */
final class SameDiffAccess implements ModelAccess<SameDiff> {

    @Override
    public ParameterSource open(SameDiff model) {
        ModelArchitecture found = ModelArchitecture.of(model);
        Iterator<SDVariable> variables = ModelArchitecture.variables(model).iterator();
        return new ParameterSource() {
            @Override
            public ModelArchitecture architecture() {
                return found;
            }

            @Override
            public double[] next() {
                INDArray values = variables.next().getArr();
                return values.dup('c').reshape(values.length()).toDoubleVector();
            }
        };
    }

    @Override
    public ParameterSink<SameDiff> create(SameDiff like) throws IOException {
        SameDiff copy = SameDiff.fromFlatBuffers(like.asFlatBuffers(false));
        if (copy.hasVariable(SameDiffText.PROVENANCE)) {
            SameDiffText.write(copy, SameDiffText.PROVENANCE, "");
        }
        Iterator<SDVariable> variables = ModelArchitecture.variables(copy).iterator();
        return new ParameterSink<>() {
            @Override
            public void write(double[] values) {
                INDArray array = variables.next().getArr();
                array.assign(
                        Nd4j.createFromArray(values).castTo(array.dataType()).reshape('c', array.shape()));
            }

            @Override
            public SameDiff finish() {
                return copy;
            }
        };
    }
}
