package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.teacher.Teacher;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Function;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.common.util.SerializationUtils;
import org.nd4j.linalg.learning.config.IUpdater;

/**
 * A problem on its way to another process: updater, seed, base losses, the model as DL4J saves it, and texts. Its candidates
 * come out with the same bits there. The teacher doesn't travel.
 */
public final class ProblemStream {

    private static final int CHUNK = 1 << 16;

    private ProblemStream() {}

    /**
     * Writes a problem. Its texts are read twice, if they can be reset.
     *
     * @param problem to write
     * @param stream  not closed
     * @throws IOException if it can't be written
     * @throws IllegalArgumentException if a text gives other batches after it was reset, or has a measure of its own
     */
    public static void write(FinetuneProblem problem, OutputStream stream) throws IOException {
        DataOutputStream out = new DataOutputStream(stream);
        byte[] updater = SerializationUtils.toByteArray(problem.updater());
        out.writeInt(updater.length);
        out.write(updater);
        out.writeLong(problem.seed());
        out.writeDouble(problem.baseLosses().target());
        out.writeDouble(problem.baseLosses().source());
        write(problem.model(), out);
        SweepData data = problem.data();
        BatchStream.write("training", data.training(), out);
        BatchStream.write("validationTarget", data.validationTarget(), out);
        BatchStream.write("validationSource", data.validationSource(), out);
        BatchStream.write("testTarget", data.testTarget(), out);
        BatchStream.write("testSource", data.testSource(), out);
        out.writeBoolean(data.trainingSource() != null);
        if (data.trainingSource() != null) {
            BatchStream.write("trainingSource", data.trainingSource(), out);
        }
        out.flush();
    }

    /**
     * {@return the problem that {@link #write} wrote, with its texts in memory}
     *
     * @param stream  of a program that is trusted: it holds a Java object, the updater
     * @param teacher what candidates stay near, of the model; such as {@link FinetuneModel#teacher()}
     * @throws IOException if it can't be read
     */
    public static FinetuneProblem read(InputStream stream, Function<FinetuneModel, Teacher> teacher)
            throws IOException {
        DataInputStream in = new DataInputStream(stream);
        byte[] updaterBytes = new byte[in.readInt()];
        in.readFully(updaterBytes);
        IUpdater updater = SerializationUtils.fromByteArray(updaterBytes);
        long seed = in.readLong();
        Losses base = new Losses(in.readDouble(), in.readDouble());
        FinetuneModel model = readModel(in);
        SweepData data = new SweepData(
                BatchStream.read(in),
                BatchStream.read(in),
                BatchStream.read(in),
                BatchStream.read(in),
                BatchStream.read(in),
                in.readBoolean() ? BatchStream.read(in) : null);
        return new FinetuneProblem(model, teacher.apply(model), data, updater, seed).withBaseLosses(base);
    }

    private static void write(FinetuneModel model, DataOutputStream out) throws IOException {
        out.writeUTF(model.getClass().getSimpleName());
        out.writeInt(model.names().size());
        for (String name : model.names()) {
            out.writeUTF(name);
        }
        Path file = Files.createTempFile("model", AtomicFile.PART);
        try {
            model.savePretrained(file);
            out.writeLong(Files.size(file));
            Files.copy(file, out);
        } finally {
            Files.delete(file);
        }
    }

    private static FinetuneModel readModel(DataInputStream in) throws IOException {
        String kind = in.readUTF();
        String[] names = new String[in.readInt()];
        for (int i = 0; i < names.length; i++) {
            names[i] = in.readUTF();
        }
        Path file = Files.createTempFile("model", AtomicFile.PART);
        try {
            copy(in, file);
            return switch (kind) {
                case "MultiLayerModel" -> new MultiLayerModel(MultiLayerNetwork.load(file.toFile(), false));
                case "GraphModel" -> new GraphModel(ComputationGraph.load(file.toFile(), false), names);
                case "SameDiffFinetuneModel" -> new SameDiffFinetuneModel(
                        SameDiff.load(file.toFile(), false),
                        names[0],
                        names[1],
                        List.of(names).subList(2, names.length));
                default -> throw new IOException("expected a model of this library, got a " + kind);
            };
        } finally {
            Files.delete(file);
        }
    }

    private static void copy(DataInputStream in, Path file) throws IOException {
        try (OutputStream out = Files.newOutputStream(file)) {
            byte[] chunk = new byte[CHUNK];
            for (long left = in.readLong(); left > 0; left -= chunk.length) {
                int count = (int) Math.min(left, chunk.length);
                in.readFully(chunk, 0, count);
                out.write(chunk, 0, count);
            }
        }
    }
}
