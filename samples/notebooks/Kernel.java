import java.lang.reflect.Field;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.logging.LogManager;
import org.rapaio.jupyter.kernel.MainApp;
import org.rapaio.jupyter.kernel.channels.Channels;
import org.rapaio.jupyter.kernel.channels.LoopThread;
import org.rapaio.jupyter.kernel.core.ConnectionProperties;
import org.rapaio.jupyter.kernel.core.Transform;

/**
 * Starts rapaio-jupyter-kernel. With its own main 3.0.1 often does not answer on a busy machine, and Jupyter waits forever: it
 * listens before it knows how to answer, and its threads end if they run before they are marked as running.
 */
public final class Kernel {

    private static final long MILLIS = 50;

    private Kernel() {}

    /** @param args Jupyter's connection file */
    public static void main(String[] args) throws Exception {
        LogManager.getLogManager().reset();
        Channels channels =
                new Channels(Transform.fromJson(Files.readString(Path.of(args[0])), ConnectionProperties.class));
        // The channel reads its messages under its own lock.
        synchronized (field(Channels.class, "shell").get(channels)) {
            channels.connect(MainApp.kernel);
        }
        for (String name : new String[] {"shell", "control", "heartbeat"}) {
            ensureRunning(field(Channels.class, name).get(channels));
        }
        channels.joinUntilClose();
    }

    private static void ensureRunning(Object channel) throws Exception {
        Field loopThread = field(channel.getClass(), "loopThread");
        Thread.sleep(MILLIS);
        while (!((Thread) loopThread.get(channel)).isAlive()) {
            LoopThread ended = (LoopThread) loopThread.get(channel);
            Runnable body = (Runnable) field(LoopThread.class, "loopBody").get(ended);
            LoopThread again = new LoopThread(ended.getName(), MILLIS, body);
            loopThread.set(channel, again);
            again.start();
            Thread.sleep(MILLIS);
        }
    }

    private static Field field(Class<?> type, String name) throws NoSuchFieldException {
        Field field = type.getDeclaredField(name);
        field.setAccessible(true);
        return field;
    }
}
