package io.github.dl4jretention.cache;

import io.github.dl4jretention.teacher.TeacherOutput;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * What a teacher's arrays look like.
 *
 * @param type    of their numbers
 * @param outputs in the teacher's order
 */
record CacheLayout(DataType type, List<Output> outputs) {

    /**
     * @param output     whose
     * @param vocabulary number of classes
     * @param rank       2 or 3
     */
    record Output(TeacherOutput output, int vocabulary, int rank) {}

    /** @throws IllegalArgumentException if an array is of another rank than 2 or 3 */
    static CacheLayout of(List<TeacherOutput> outputs, INDArray[] logProbabilities) {
        List<Output> layout = new ArrayList<>();
        for (int i = 0; i < logProbabilities.length; i++) {
            INDArray array = logProbabilities[i];
            if (array.rank() != 2 && array.rank() != 3) {
                throw new IllegalArgumentException("teacher: expected output \""
                        + outputs.get(i).name() + "\" of rank 2 or 3, got shape " + Arrays.toString(array.shape()));
            }
            int vocabulary = (int) array.size(outputs.get(i).classAxis(array.rank()));
            layout.add(new Output(outputs.get(i), vocabulary, array.rank()));
        }
        return new CacheLayout(logProbabilities[0].dataType(), layout);
    }

    byte[] toBytes() {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (DataOutputStream out = new DataOutputStream(bytes)) {
            out.writeUTF(type.name());
            out.writeInt(outputs.size());
            for (Output output : outputs) {
                out.writeUTF(output.output.name());
                out.writeInt(output.output.index());
                out.writeInt(output.output.classAxis());
                out.writeInt(output.vocabulary);
                out.writeInt(output.rank);
            }
        } catch (IOException e) {
            throw new IllegalStateException("memory cannot fail to be written", e);
        }
        return bytes.toByteArray();
    }

    static CacheLayout of(byte[] bytes) throws IOException {
        try (DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes))) {
            DataType type = DataType.valueOf(in.readUTF());
            List<Output> outputs = new ArrayList<>();
            for (int left = in.readInt(); left > 0; left--) {
                TeacherOutput output = new TeacherOutput(in.readUTF(), in.readInt(), in.readInt());
                outputs.add(new Output(output, in.readInt(), in.readInt()));
            }
            return new CacheLayout(type, outputs);
        }
    }
}
