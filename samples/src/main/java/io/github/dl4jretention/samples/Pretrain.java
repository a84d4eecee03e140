package io.github.dl4jretention.samples;
import io.github.dl4jretention.samples.model.*;
import io.github.dl4jretention.samples.text.*;
import java.nio.file.*;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.learning.config.*;
import org.nd4j.linalg.schedule.*;
public class Pretrain {
  public static void main(String[] a) throws Exception {
    Corpus c = Corpus.read(Path.of(a[0]));
    for (Domain d : Domain.values()) for (Corpus.Part p : Corpus.Part.values()) System.out.println(d+" "+p+" "+c.text(d,p).length);
    System.out.println(c.sha256Hex());
    System.out.println(new String(c.text(Domain.PROSE, Corpus.Part.TEST),0,1200)); System.out.println(new String(c.text(Domain.SCALA, Corpus.Part.TEST),0,600));
    int steps=Integer.parseInt(a[2]); int mb=Integer.parseInt(a[3]);
    MultiLayerNetwork n = ModelKind.valueOf(a[1]).create(new Adam(new PolySchedule(ScheduleType.ITERATION, 1e-3, 1.0, steps+1)), 7);
    System.out.println(n.summary());
    var it = ByteWindowIterator.training(mb, 64, steps, 7, c.text(Domain.PROSE, Corpus.Part.PRETRAIN), c.text(Domain.JAVA, Corpus.Part.PRETRAIN), c.text(Domain.SCALA, Corpus.Part.PRETRAIN));
    long t=System.nanoTime();
    while(it.hasNext()) { n.fit(it.next()); if (n.getIterationCount()%10==0) { System.out.printf("%d %.4f %.1f ms%n", n.getIterationCount(), n.score()/64, (System.nanoTime()-t)/1e7); t=System.nanoTime(); } }
  }
}
