package io.github.dl4jretention.samples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.samples.model.Checkpoint;
import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.teacher.NetworkIdentity;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class CheckpointTest {

    private static final Path CHECKPOINTS = Path.of("checkpoints");

    @ParameterizedTest
    @EnumSource(ModelKind.class)
    void committed_checkpoints_fit_their_provenance_and_the_corpus(ModelKind kind) throws IOException {
        Checkpoint checkpoint = Checkpoint.load(CHECKPOINTS.resolve(kind.label() + ".zip"));
        assertEquals(kind, checkpoint.provenance().kind());
        assertEquals(
                NetworkIdentity.sha256(checkpoint.network()),
                checkpoint.provenance().networkSha256());
        assertEquals(
                Corpus.read(Path.of("target", "corpus")).sha256Hex(),
                checkpoint.provenance().corpusSha256());
    }

    @Test
    void weights_that_are_not_those_of_the_provenance_are_refused(@TempDir Path folder) throws IOException {
        Path model = folder.resolve("lstm.zip");
        MultiLayerNetwork network =
                Checkpoint.load(CHECKPOINTS.resolve("lstm.zip")).network();
        String written = NetworkIdentity.sha256(network);
        Files.copy(CHECKPOINTS.resolve("lstm.json"), folder.resolve("lstm.json"));
        network.params().putScalar(3, network.params().getFloat(3) + 1e-3f);
        network.save(model.toFile(), false);
        IOException refused = assertThrows(IOException.class, () -> Checkpoint.load(model));
        assertTrue(refused.getMessage().contains(written), refused.getMessage());
        assertTrue(refused.getMessage().contains(NetworkIdentity.sha256(network)), refused.getMessage());
    }

    @Test
    void a_broken_provenance_is_refused(@TempDir Path folder) throws IOException {
        Files.copy(CHECKPOINTS.resolve("lstm.zip"), folder.resolve("lstm.zip"));
        assertThrows(IOException.class, () -> Checkpoint.load(folder.resolve("lstm.zip")));
        Files.writeString(folder.resolve("lstm.json"), "{\"kind\": \"LSTM\"");
        assertThrows(IOException.class, () -> Checkpoint.load(folder.resolve("lstm.zip")));
    }

    @Test
    void a_file_that_is_no_model_is_refused(@TempDir Path folder) throws IOException {
        Path file = Files.writeString(folder.resolve("model.zip"), "no model");
        IOException refused = assertThrows(IOException.class, () -> Checkpoint.loadNetwork(file));
        assertTrue(refused.getMessage().contains("model.zip"), refused.getMessage());
    }
}
