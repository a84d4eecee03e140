package io.github.dl4jretention.merge;

import io.github.dl4jretention.storage.AtomicFile;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/**
 * Model files of {@code ModelSerializer}: {@code configuration.json} and {@code coefficients.bin} in a zip. Parameters are
 * streamed; the file that is written appears at once, complete, or not at all.
 *
 * @param out the file to write
 */
record FileAccess(Path out) implements ModelAccess<Path> {

    @Override
    public String describe(Path model, String role) {
        return role + " " + model;
    }

    @Override
    public ParameterSource open(Path model) throws IOException {
        if (!Files.isReadable(model)) {
            throw new IOException("model: expected a readable file, got " + model);
        }
        ZipFile zip = zip(model);
        try {
            Architecture architecture =
                    architecture(new String(read(zip, ModelSerializer.CONFIGURATION_JSON), StandardCharsets.UTF_8));
            DataInputStream in = coefficients(zip);
            CoefficientsStream coefficients = CoefficientsStream.readHead(in);
            if (coefficients.length() != architecture.length() || coefficients.type() != architecture.dataType()) {
                throw new IOException("expected " + architecture.length() + " parameters of type "
                        + architecture.dataType() + " by its configuration, got " + coefficients.length() + " of type "
                        + coefficients.type());
            }
            return new Source(zip, architecture, in, coefficients);
        } catch (IOException | RuntimeException e) {
            zip.close();
            throw new IOException("model " + model + ": " + e.getMessage(), e);
        }
    }

    private static final class Source implements ParameterSource {

        private final ZipFile zip;
        private final Architecture architecture;
        private final DataInputStream in;
        private final CoefficientsStream coefficients;
        private int parameter;

        Source(ZipFile zip, Architecture architecture, DataInputStream in, CoefficientsStream coefficients) {
            this.zip = zip;
            this.architecture = architecture;
            this.in = in;
            this.coefficients = coefficients;
        }

        @Override
        public Architecture architecture() {
            return architecture;
        }

        @Override
        public double[] next() throws IOException {
            return coefficients.read(
                    in, architecture.parameters().get(parameter++).length());
        }

        @Override
        public void close() throws IOException {
            zip.close();
        }
    }

    @Override
    public ParameterSink<Path> create(Path like) throws IOException {
        byte[] configuration;
        CoefficientsStream coefficients;
        try (ZipFile zip = new ZipFile(like.toFile());
                DataInputStream in = coefficients(zip)) {
            String json = new String(read(zip, ModelSerializer.CONFIGURATION_JSON), StandardCharsets.UTF_8);
            configuration = ProvenanceRemoval.from(json).getBytes(StandardCharsets.UTF_8);
            coefficients = CoefficientsStream.readHead(in);
        }
        FileSink sink = new FileSink(out, coefficients);
        try {
            sink.begin(configuration);
        } catch (IOException | RuntimeException e) {
            sink.close();
            throw e;
        }
        return sink;
    }

    /** Parameters come in between {@link #begin} and {@link #finish}. */
    private static final class FileSink implements ParameterSink<Path> {

        private final Path out;
        private final CoefficientsStream coefficients;
        private final AtomicFile file;
        private final OutputStream stream;
        private final ZipOutputStream zip;
        private final DataOutputStream data;

        FileSink(Path out, CoefficientsStream coefficients) throws IOException {
            this.out = out;
            this.coefficients = coefficients;
            file = new AtomicFile(out);
            stream = Files.newOutputStream(file.part());
            zip = new ZipOutputStream(new BufferedOutputStream(stream));
            data = new DataOutputStream(zip);
        }

        void begin(byte[] configuration) throws IOException {
            zip.putNextEntry(new ZipEntry(ModelSerializer.CONFIGURATION_JSON));
            zip.write(configuration);
            zip.closeEntry();
            zip.putNextEntry(new ZipEntry(ModelSerializer.COEFFICIENTS_BIN));
            coefficients.writeHead(data);
        }

        @Override
        public void write(double[] values) throws IOException {
            coefficients.write(data, values);
        }

        @Override
        public Path finish() throws IOException {
            zip.closeEntry();
            zip.close();
            file.commit();
            return out;
        }

        /** A zip whose rest cannot be written does not close its stream. */
        @Override
        public void close() throws IOException {
            try (file;
                    stream) {
                zip.close();
            }
        }
    }

    private static ZipFile zip(Path model) throws IOException {
        try {
            return new ZipFile(model.toFile());
        } catch (IOException e) {
            throw new IOException("model " + model + ": " + e.getMessage(), e);
        }
    }

    private static DataInputStream coefficients(ZipFile zip) throws IOException {
        return new DataInputStream(
                new BufferedInputStream(zip.getInputStream(entry(zip, ModelSerializer.COEFFICIENTS_BIN))));
    }

    private static byte[] read(ZipFile zip, String name) throws IOException {
        try (InputStream in = zip.getInputStream(entry(zip, name))) {
            return in.readAllBytes();
        }
    }

    private static ZipEntry entry(ZipFile zip, String name) throws IOException {
        ZipEntry entry = zip.getEntry(name);
        if (entry == null) {
            throw new IOException("expected a model file of DL4J's ModelSerializer, got one without " + name);
        }
        return entry;
    }

    private static Architecture architecture(String json) throws IOException {
        JsonNode tree = new ObjectMapper().readTree(json);
        return tree.has("confs")
                ? Architectures.of(MultiLayerConfiguration.fromJson(json))
                : Architectures.of(ComputationGraphConfiguration.fromJson(json));
    }
}
